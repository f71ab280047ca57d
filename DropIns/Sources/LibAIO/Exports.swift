internal import AIOCore
internal import CKernel

// The functions of Debian's libaio 0.3.113 with their symbol versions. Each takes plain words, since any pointer may be
// invalid, and returns a value or a negative errno. errno is left alone.

// MARK: LIBAIO_0.4

@_cdecl("io_setup@@LIBAIO_0.4")
public func exportSetup(_ depth: Int32, _ context: UInt) -> Int32 {
    Int32(truncatingIfNeeded: Calls.setUp(UInt32(bitPattern: depth), context))
}

@_cdecl("io_destroy@@LIBAIO_0.4")
public func exportDestroy(_ context: UInt) -> Int32 { Int32(truncatingIfNeeded: Calls.destroy(context)) }

@_cdecl("io_cancel@@LIBAIO_0.4")
public func exportCancel(_ context: UInt, _ block: UInt, _ event: UInt) -> Int32 {
    Int32(truncatingIfNeeded: Calls.cancel(context, block, event))
}

// MARK: LIBAIO_0.1

@_cdecl("io_submit@@LIBAIO_0.1")
public func exportSubmit(_ context: UInt, _ count: Int, _ blocks: UInt) -> Int32 {
    Int32(truncatingIfNeeded: Calls.submit(context, count, blocks))
}

@_cdecl("io_queue_init@@LIBAIO_0.1")
public func exportQueueInit(_ depth: Int32, _ context: UInt) -> Int32 {
    guard depth > 0 else { return -EINVAL }
    guard Kernel.canOverwrite(context, 8), let place = UnsafeMutableRawPointer(bitPattern: context) else {
        return -EFAULT
    }
    place.storeBytes(of: 0, as: UInt.self)
    return Int32(truncatingIfNeeded: Calls.setUp(UInt32(bitPattern: depth), context))
}

@_cdecl("io_queue_release@@LIBAIO_0.1")
public func exportQueueRelease(_ context: UInt) -> Int32 { Int32(truncatingIfNeeded: Calls.destroy(context)) }

// Programs that were linked against a libaio older than 0.3.93 use other signatures of three functions.

@_cdecl("io_cancel@LIBAIO_0.1")
public func exportOldCancel(_ context: UInt, _ block: UInt) -> Int32 {
    var event = ck_io_event()
    return withUnsafeMutablePointer(to: &event) {
        Int32(truncatingIfNeeded: Calls.cancel(context, block, UInt(bitPattern: $0)))
    }
}
