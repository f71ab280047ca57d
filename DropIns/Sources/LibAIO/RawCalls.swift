internal import AIOCore
internal import CKernel
internal import CRawCalls

// The Linux AIO calls through libc's `syscall`: see raw_calls.h.

@c(aio_raw_setup)
func rawSetup(_ count: UInt, _ place: UInt) -> Int { Calls.setUp(UInt32(truncatingIfNeeded: count), place) }

@c(aio_raw_destroy)
func rawDestroy(_ context: UInt) -> Int { Calls.destroy(context) }

@c(aio_raw_submit)
func rawSubmit(_ context: UInt, _ count: Int, _ blocks: UInt) -> Int { Calls.submit(context, count, blocks) }

@c(aio_raw_cancel)
func rawCancel(_ context: UInt, _ block: UInt, _ event: UInt) -> Int { Calls.cancel(context, block, event) }

/// Stores the address of the mask in io_pgetevents(2)'s argument `signals`. Returns 0, or negative EFAULT or EINVAL.
@c(libaio_read_signal_mask)
func readSignalMask(_ signals: UInt, _ mask: UnsafeMutablePointer<UInt>?) -> Int {
    guard signals != 0 else { return 0 }
    guard Kernel.canRead(signals, 16), let argument = UnsafeRawPointer(bitPattern: signals) else {
        return -Int(EFAULT)
    }
    mask?.pointee = argument.loadUnaligned(as: UInt.self)
    let size = argument.loadUnaligned(fromByteOffset: 8, as: UInt.self)
    // As set_user_sigmask in the kernel: without a mask the size is ignored.
    return mask?.pointee == 0 || size == 8 ? 0 : -Int(EINVAL)
}
