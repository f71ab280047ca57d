public import CKernel

/// The work asked for, as a plain value.
///
/// Every pointer in it is borrowed: the memory belongs to the operation from the moment it is staged
/// until its completion is drained, also after a cancel was requested.
///
/// A *repeating* operation has several completions. Each but the last carries `CompletionFlags.more`; the token stays live
/// until the one without, which an error, the end of a stream, a cancel or the deadline brings. The next completion is
/// begun when one is drained, so that none is ever lost or piles up.
public enum Operation: BitwiseCopyable, @unchecked Sendable {
    // @unchecked: the pointers make it non-Sendable by default; the ownership rule above is what makes
    // handing them to another thread sound.

    /// Completes with 0.
    case nop
    /// preadv2(2) or pwritev2(2), as the transfer says. Completes with the bytes read or written; a read that completes with
    /// 0 is at the end of the file.
    case transfer(Transfer)
    /// fsync(2) or fdatasync(2).
    case sync(Descriptor, SyncLevel)
    /// sync_file_range(2). `flags` are its SYNC_FILE_RANGE_ flags; `count` 0 means to the end of the file.
    case syncRange(Descriptor, offset: Int64, count: Int64, flags: UInt32)
    /// openat2(2). Completes with the descriptor, which the caller then owns.
    case open(directory: Int32, path: UnsafePointer<CChar>, how: UnsafePointer<ck_open_how>)
    /// close(2).
    case close(Int32)
    /// statx(2).
    case status(
        directory: Int32, path: UnsafePointer<CChar>, flags: Int32, mask: UInt32,
        result: UnsafeMutablePointer<ck_statx>)
    /// fallocate(2).
    case allocate(Descriptor, mode: Int32, offset: Int64, count: Int64)
    /// ftruncate(2).
    case truncate(Descriptor, size: Int64)
    /// posix_fadvise(2).
    case advise(Descriptor, offset: Int64, count: Int64, advice: Int32)
    /// renameat2(2). `flags` are its RENAME_ flags.
    case rename(
        directory: Int32, path: UnsafePointer<CChar>, newDirectory: Int32, newPath: UnsafePointer<CChar>,
        flags: UInt32)
    /// unlinkat(2); with AT_REMOVEDIR in `flags`, rmdir(2).
    case unlink(directory: Int32, path: UnsafePointer<CChar>, flags: Int32)
    /// mkdirat(2).
    case makeDirectory(directory: Int32, path: UnsafePointer<CChar>, permissions: UInt32)
    /// linkat(2). `flags` are its AT_ flags.
    case link(
        directory: Int32, path: UnsafePointer<CChar>, newDirectory: Int32, newPath: UnsafePointer<CChar>,
        flags: Int32)
    /// symlinkat(2): makes `path` a symbolic link to `target`.
    case symbolicLink(target: UnsafePointer<CChar>, directory: Int32, path: UnsafePointer<CChar>)
    /// One of many system calls that rings do not have; a worker makes it.
    case call(BlockingCall)
    /// Several system calls, one after the other, on a worker. Completes with what `run` returns.
    case work(Unmanaged<BlockingWork>)
    /// One of the calls on sockets.
    case socket(SocketCall)
    /// splice(2): moves data between two descriptors, one of them a pipe. Completes with the bytes moved; 0 is the end.
    case splice(Splice)
    /// tee(2): copies from pipe to pipe what stays in the first. Offsets are not used. Completes with the bytes.
    case tee(Splice)
    /// waitid(2) of a child by its pidfd, with these options (WEXITED and its like). Completes with 0 once there is
    /// something to tell, which is then in `status`.
    case waitForChild(Descriptor, status: UnsafeMutablePointer<ck_child_status>, options: Int32)
    /// futex(2): sleeps while the word holds a value, until somebody wakes it.
    case futexWait(FutexWait)
    /// Waits until one of `events` (POLLIN and its like) holds. Completes with the events that do.
    case poll(Descriptor, events: UInt32)
    /// Repeating: as `poll`, again and again while `events` hold: whoever has dealt with a completion drains the next.
    case pollEach(Descriptor, events: UInt32)
    /// Completes with 0 when the monotonic clock reaches `deadline`.
    case timeout(deadline: Nanoseconds)
    /// Repeating: completes when the monotonic clock reaches `first`, and every `interval` from then on, with the number of
    /// intervals that have passed since the last completion: 1, or more if that was drained late.
    case repeatingTimeout(first: Nanoseconds, interval: Nanoseconds)
    /// Registers buffers for `SocketCall.receiveBuffered`, or gives one back. Completes at once.
    case buffers(BufferGroupCall)
    /// Asks to cancel every operation in flight on a descriptor; with nil, every other operation of the queue. Completes
    /// with the number of operations that were asked.
    case cancelAll(on: Descriptor?)
    /// Asks to cancel `target`. Completes with 0 (asked), ENOENT (no such operation: it may have completed) or
    /// EALREADY (asked before, or `target` releases something). What becomes of the target is told by the target's own completion alone.
    case cancel(target: Token)
}

extension Operation {
    /// preadv2(2) into one buffer. Completes with the bytes read; 0 is the end of the file.
    public static func read(_ transfer: Transfer) -> Operation { .transfer(transfer.to([])) }

    /// pwritev2(2) from one buffer. Completes with the bytes written.
    public static func write(_ transfer: Transfer) -> Operation { .transfer(transfer.to(.writing)) }

    /// preadv2(2): `base` points at `count` iovecs.
    public static func readVectored(_ transfer: Transfer) -> Operation {
        .transfer(transfer.to(.vectored))
    }

    /// pwritev2(2): `base` points at `count` iovecs.
    public static func writeVectored(_ transfer: Transfer) -> Operation {
        .transfer(transfer.to([.writing, .vectored]))
    }
}
