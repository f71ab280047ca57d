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
    /// preadv2(2) into one buffer. Completes with the bytes read; 0 is the end of the file.
    case read(Transfer)
    /// pwritev2(2) from one buffer. Completes with the bytes written.
    case write(Transfer)
    /// preadv2(2): `base` points at `count` iovecs.
    case readVectored(Transfer)
    /// pwritev2(2): `base` points at `count` iovecs.
    case writeVectored(Transfer)
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

/// What `Operation.read`, `.write` and their vectored forms carry.
public struct Transfer: BitwiseCopyable {
    public var descriptor: Descriptor
    /// The buffer, or the iovecs.
    public var base: UnsafeMutableRawPointer?
    /// Bytes in the buffer, or iovecs at `base`.
    public var count: Int
    /// Byte in the file; `currentPosition` for the descriptor's own. Streams ignore it.
    public var offset: Int64
    public var flags: TransferFlags
    /// The registered buffer that `base` lies in, or `unregistered`.
    public var bufferIndex: UInt16
    /// The I/O priority, as ioprio_set(2) has it: class and level; 0 for the submitting thread's.
    public var priority: UInt16 = 0

    public static var currentPosition: Int64 { -1 }
    public static var unregistered: UInt16 { .max }

    public init(
        _ descriptor: Descriptor, _ base: UnsafeMutableRawPointer?, count: Int, offset: Int64,
        flags: TransferFlags = [], bufferIndex: UInt16 = Transfer.unregistered
    ) {
        self.descriptor = descriptor
        self.base = base
        self.count = count
        self.offset = offset
        self.flags = flags
        self.bufferIndex = bufferIndex
    }
}

/// What `Operation.splice` and `.tee` carry. Waits until there is something to move and room for it, unless `flags` has
/// SPLICE_F_NONBLOCK: then it completes with EAGAIN. Nothing is said about the order of several on one descriptor.
public struct Splice: BitwiseCopyable, Sendable {
    public var input: Descriptor
    /// Byte in the file; `Transfer.currentPosition` for a pipe or a stream, or the descriptor's own position.
    public var inputOffset: Int64
    public var output: Descriptor
    public var outputOffset: Int64
    /// Bytes to move.
    public var count: UInt32
    /// SPLICE_F_ flags.
    public var flags: UInt32

    public init(
        from input: Descriptor, inputOffset: Int64 = Transfer.currentPosition, to output: Descriptor,
        outputOffset: Int64 = Transfer.currentPosition, count: UInt32, flags: UInt32 = 0
    ) {
        self.input = input
        self.inputOffset = inputOffset
        self.output = output
        self.outputOffset = outputOffset
        self.count = count
        self.flags = flags
    }
}

/// Flags of one read or write: preadv2(2)'s, bit for bit. A kernel or file system that does not know one
/// completes the operation with EOPNOTSUPP or EINVAL.
public struct TransferFlags: OptionSet, BitwiseCopyable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Polls for the completion of direct I/O where the device can. A hint: `io_uring` would need a ring of its
    /// own for it and does without.
    public static let highPriority = TransferFlags(rawValue: CK_RWF_HIPRI)
    /// This write as with O_DSYNC: its data is durable when it completes.
    public static let dataSync = TransferFlags(rawValue: CK_RWF_DSYNC)
    /// This write as with O_SYNC: its data and metadata are durable when it completes.
    public static let sync = TransferFlags(rawValue: CK_RWF_SYNC)
    /// EAGAIN rather than waiting for the device, a lock, or data.
    public static let noWait = TransferFlags(rawValue: CK_RWF_NOWAIT)
    /// This write goes to the end of the file, whatever its offset.
    public static let append = TransferFlags(rawValue: CK_RWF_APPEND)
    /// This write heeds its offset although the file was opened with O_APPEND (6.9).
    public static let noAppend = TransferFlags(rawValue: CK_RWF_NOAPPEND)
    /// This write is never torn (6.11; see the file system's atomic write unit).
    public static let atomic = TransferFlags(rawValue: CK_RWF_ATOMIC)
    /// The page cache drops the pages when the transfer is done (6.14).
    public static let dontCache = TransferFlags(rawValue: CK_RWF_DONTCACHE)

    /// Not the kernel's: the page cache was asked a moment ago and did not have it; do not ask again.
    public static let cacheMissed = TransferFlags(rawValue: 1 << 31)
    /// Not the kernel's: this write to a stream completes when all of it is written, as write(2) does without O_NONBLOCK,
    /// or with what was written before an error or a cancel. A vectored one moves its iovecs on. At most 2 GiB less a page,
    /// which is what a completion can tell of.
    public static let whole = TransferFlags(rawValue: 1 << 30)
    /// Not the kernel's: goes through the page cache although the file is open with O_DIRECT by now.
    public static let throughPageCache = TransferFlags(rawValue: 1 << 29)

    /// Not the kernel's: `append` and `noAppend` are dropped where the file knows no flags at all (some of procfs).
    public static let dropsAppend = TransferFlags(rawValue: 1 << 28)

    /// The part that is the kernel's.
    @inline(__always)
    var kernelFlags: UInt32 { rawValue & 0x0fff_ffff }
}

/// How much an `Operation.sync` makes durable.
public enum SyncLevel: UInt8, BitwiseCopyable, Sendable {
    /// fdatasync(2): the data, and the metadata needed to read it back.
    case data
    /// fsync(2): the data and all metadata.
    case full
}
