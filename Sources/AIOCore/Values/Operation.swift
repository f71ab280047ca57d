public import CKernel

/// An asynchronous operation, as a plain value.
///
/// Pointers are borrowed: the memory belongs to the operation from staging until its completion is drained, also after
/// a cancel request.
///
/// A *repeating* operation has several completions. All but the last carry ``CompletionFlags/more``, and the token
/// stays live until the last one, which follows an error, the end of a stream, a cancel or the deadline. The next step
/// starts only when a completion is drained (backpressure), so completions are neither lost nor accumulate.
public enum Operation: BitwiseCopyable, @unchecked Sendable {
    // @unchecked: the pointers make it non-Sendable by default; the ownership rule above makes handing them to another
    // thread sound.

    /// Does nothing. Completes with 0.
    case nop
    /// preadv2(2) or pwritev2(2). Completes with the bytes transferred, which may be fewer than requested; a read that
    /// completes with 0 is at the end of the file.
    case transfer(Transfer)
    /// fsync(2) or fdatasync(2).
    case sync(Descriptor, SyncLevel)
    /// sync_file_range(2). `flags` are its SYNC_FILE_RANGE_ flags; with `count` 0 the range extends to the end of the
    /// file.
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
    /// symlinkat(2): creates `path` as a symbolic link to `target`.
    case symbolicLink(target: UnsafePointer<CChar>, directory: Int32, path: UnsafePointer<CChar>)
    /// A system call that workers execute (``BlockingCall``).
    case call(BlockingCall)
    /// Several system calls in sequence, executed by a worker. Completes with the result of ``BlockingWork/run()``. The
    /// caller keeps the object alive until the completion is drained.
    case work(Unmanaged<BlockingWork>)
    /// A call on a socket.
    case socket(SocketCall)
    /// splice(2): moves data between two descriptors, one of which is a pipe. Completes with the bytes moved; 0 is the
    /// end of the input.
    case splice(Splice)
    /// tee(2): duplicates data from one pipe to another without consuming it. Ignores the offsets. Completes with the
    /// bytes duplicated.
    case tee(Splice)
    /// waitid(2) on a child's pidfd. `options` are WEXITED and the like. Completes with 0 once the child has changed
    /// state; `status` then holds the change.
    case waitForChild(Descriptor, status: UnsafeMutablePointer<ck_child_status>, options: Int32)
    /// futex(2), FUTEX_WAIT: waits for a wake-up while the word holds a value.
    case futexWait(FutexWait)
    /// poll(2): waits until one of `events` (POLLIN and the like) holds. Completes with the events that hold.
    case poll(Descriptor, events: UInt32)
    /// Repeating, level-triggered: a poll after each drained completion. Handle the events before draining the next
    /// completion.
    case pollEach(Descriptor, events: UInt32)
    /// Completes with 0 when the monotonic clock reaches `deadline`. The operation's own deadline, if it is earlier,
    /// cancels it as it does any other operation.
    case timeout(deadline: Nanoseconds)
    /// Repeating: completes when the monotonic clock reaches `first`, and every `interval` after it, with the number of
    /// intervals that elapsed since the last completion: 1, or more if that completion was drained late. Completes with
    /// EINVAL if `interval` is 0.
    case repeatingTimeout(first: Nanoseconds, interval: Nanoseconds)
    /// Registers buffers for ``SocketCall/receiveBuffered(_:group:flags:isRepeating:)``, returns one, or unregisters a
    /// group. Completes immediately.
    case buffers(BufferGroupCall)
    /// Requests cancellation of all operations in flight on a descriptor; with nil, of all other operations of the
    /// queue. Completes with the number of operations newly asked.
    case cancelAll(on: Descriptor?)
    /// Requests cancellation of `target`. Completes with 0 (requested), ENOENT (no such operation: it may have
    /// completed) or EALREADY (requested before, or `target` is a release). Only the target's own completion tells its
    /// outcome.
    case cancel(target: Token)
}

extension Operation {
    /// preadv2(2) into one buffer. Completes with the bytes read, which may be fewer than requested; 0 is the end of
    /// the file.
    public static func read(_ transfer: Transfer) -> Operation { .transfer(transfer.to([])) }

    /// pwritev2(2) from one buffer. Completes with the bytes written, which may be fewer than requested.
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
