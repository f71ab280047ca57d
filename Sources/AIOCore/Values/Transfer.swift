internal import CKernel

/// One read or write: `Operation.read`, `.write` and their vectored forms make an operation of it.
public struct Transfer: BitwiseCopyable {
    public var descriptor: Descriptor
    /// What it is, in the byte that the descriptor leaves free.
    public var form: Form
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
        flags: TransferFlags = [], bufferIndex: UInt16 = Transfer.unregistered, form: Form = []
    ) {
        self.descriptor = descriptor
        self.form = form
        self.base = base
        self.count = count
        self.offset = offset
        self.flags = flags
        self.bufferIndex = bufferIndex
    }

    /// What a transfer is, beside the kernel's flags. Empty: a read into one buffer.
    public struct Form: OptionSet, BitwiseCopyable, Sendable {
        public let rawValue: UInt8
        @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// It writes.
        @inlinable public static var writing: Form { Form(rawValue: 1 << 0) }
        /// `base` points at `count` iovecs.
        @inlinable public static var vectored: Form { Form(rawValue: 1 << 1) }
        /// The page cache was asked a moment ago and did not have it: it is not asked again.
        @inlinable public static var cacheMissed: Form { Form(rawValue: 1 << 2) }
        /// It goes through the page cache although the file is open with O_DIRECT by now.
        @inlinable public static var throughPageCache: Form { Form(rawValue: 1 << 3) }
        /// This write to a stream completes when all of it is written, as write(2) does without O_NONBLOCK, or with what was
        /// written before an error or a cancel. A vectored one moves its iovecs on. At most 2 GiB less a page, which is what a
        /// completion can tell of.
        @inlinable public static var whole: Form { Form(rawValue: 1 << 4) }
        /// `TransferFlags.append` and `noAppend` are dropped where the file knows no flags at all (some of procfs).
        @inlinable public static var dropsAppendFlags: Form { Form(rawValue: 1 << 5) }
    }

    @inlinable public var isWrite: Bool { form.contains(.writing) }
    @inlinable public var isVectored: Bool { form.contains(.vectored) }

    /// The same transfer as a read or a write, of one buffer or of several.
    @inlinable
    public func to(_ direction: Form) -> Transfer {
        var transfer = self
        transfer.form.remove([.writing, .vectored])
        transfer.form.formUnion(direction)
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
