internal import CKernel

/// One read or write: `Operation.read`, `.write` and their vectored forms make an operation of it.
public struct Transfer: BitwiseCopyable {
    @frozen public enum Direction: UInt8, BitwiseCopyable, Sendable {
        /// From the descriptor into memory.
        case reading
        /// From memory to the descriptor.
        case writing
    }

    public var descriptor: Descriptor
    public var direction: Direction
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
    /// Whether `base` points at `count` iovecs.
    public var isVectored: Bool
    /// Whether the page cache was asked a moment ago and did not have it: it is not asked again.
    public var cacheMissed = false
    /// Whether this write to a stream completes when all of it is written, as write(2) does without O_NONBLOCK, or with what
    /// was written before an error or a cancel. A vectored one moves its iovecs on. At most 2 GiB less a page, which is what
    /// a completion can tell of.
    public var isWhole = false
    /// Whether it goes through the page cache although the file is open with O_DIRECT by now.
    public var throughPageCache = false
    /// Whether `TransferFlags.append` and `noAppend` are dropped where the file knows no flags at all (some of procfs).
    public var dropsAppendFlags = false

    public static var currentPosition: Int64 { -1 }
    public static var unregistered: UInt16 { .max }

    public init(
        _ descriptor: Descriptor, _ base: UnsafeMutableRawPointer?, count: Int, offset: Int64,
        flags: TransferFlags = [], bufferIndex: UInt16 = Transfer.unregistered, direction: Direction = .reading,
        isVectored: Bool = false
    ) {
        self.descriptor = descriptor
        self.direction = direction
        self.base = base
        self.count = count
        self.offset = offset
        self.flags = flags
        self.bufferIndex = bufferIndex
        self.isVectored = isVectored
    }

    public var isWrite: Bool {
        @inline(__always) get { direction == .writing }
    }

    /// The same transfer in this direction and form.
    @inline(__always)
    public func to(_ direction: Direction, isVectored: Bool = false) -> Transfer {
        var transfer = self
        transfer.direction = direction
        transfer.isVectored = isVectored
        return transfer
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
}

/// How much an `Operation.sync` makes durable.
public enum SyncLevel: UInt8, BitwiseCopyable, Sendable {
    /// fdatasync(2): the data, and the metadata needed to read it back.
    case data
    /// fsync(2): the data and all metadata.
    case full
}
