internal import AIOCore
internal import CKernel
internal import CRawCalls

// What `syscall` with the number of one of Linux AIO's calls does: see raw_calls.h.

@c(aio_raw_setup)
func rawSetup(_ count: UInt, _ place: UInt) -> Int { Calls.setUp(UInt32(truncatingIfNeeded: count), place) }

@c(aio_raw_destroy)
func rawDestroy(_ context: UInt) -> Int { Calls.destroy(context) }

@c(aio_raw_submit)
func rawSubmit(_ context: UInt, _ count: Int, _ blocks: UInt) -> Int { Calls.submit(context, count, blocks) }

@c(aio_raw_cancel)
func rawCancel(_ context: UInt, _ block: UInt, _ event: UInt) -> Int { Calls.cancel(context, block, event) }

@c(aio_raw_getevents)
func rawGetEvents(_ context: UInt, _ least: Int, _ most: Int, _ events: UInt, _ timeout: UInt) -> Int {
    Calls.getEvents(context, least, most, events, timeout, looksFirst: false)
}

@c(aio_raw_pgetevents)
func rawMaskedGetEvents(
    _ context: UInt, _ least: Int, _ most: Int, _ events: UInt, _ timeout: UInt, _ signals: UInt
) -> Int {
    guard signals != 0 else { return Calls.getEvents(context, least, most, events, timeout, looksFirst: false) }
    guard Kernel.canRead(signals, 16), let argument = UnsafeRawPointer(bitPattern: signals) else {
        return -Int(EFAULT)
    }
    let mask = argument.loadUnaligned(as: UInt.self)
    let size = argument.loadUnaligned(fromByteOffset: 8, as: UInt.self)
    // As the kernel's set_user_sigmask: without a mask the size is not looked at.
    guard mask == 0 || size == 8 else { return -Int(EINVAL) }
    return Calls.getEvents(context, least, most, events, timeout, mask: mask, looksFirst: false)
}
