internal import CKernel

/// One read or write: the argument of ``Operation/read(_:)``, ``Operation/write(_:)`` and their vectored forms.
public struct Transfer: BitwiseCopyable {
    /// The file or stream. Borrowed: its owner closes it, and only after the completion is drained.
    public var descriptor: Descriptor
    /// Properties beside the kernel's flags. Occupies the padding byte after the descriptor.
    public var form: Form
    /// The buffer, or the array of iovecs.
    public var base: UnsafeMutableRawPointer?
    /// Bytes in the buffer, or the number of iovecs at ``base``.
    public var count: Int
    /// Byte offset in the file; ``currentPosition`` for the descriptor's own. Streams ignore it.
    public var offset: Int64
    /// The kernel's flags for this transfer.
    public var flags: TransferFlags
    /// The index of the registered buffer that contains ``base``, or ``unregistered``.
    public var bufferIndex: UInt16
    /// The I/O priority in the format of ioprio_set(2), class and level; 0 for the submitting thread's.
    public var priority: UInt16 = 0

    /// The ``offset`` that stands for the descriptor's own position.
    public static var currentPosition: Int64 { -1 }
    /// The ``bufferIndex`` of a transfer whose ``base`` is not in a registered buffer.
    public static var unregistered: UInt16 { .max }

    /// A transfer of `count` bytes at `base`, or with ``Form/vectored`` of `count` iovecs. The memory is borrowed until
    /// the completion is drained.
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

    /// Properties beside the kernel's flags. Empty: a read into one buffer.
    public struct Form: OptionSet, BitwiseCopyable, Sendable {
        public let rawValue: UInt8
        @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// The transfer writes.
        @inlinable public static var writing: Form { Form(rawValue: 1 << 0) }
        /// ``Transfer/base`` points at ``Transfer/count`` iovecs.
        @inlinable public static var vectored: Form { Form(rawValue: 1 << 1) }
        /// The page cache was just asked and missed: it is not asked again.
        @inlinable public static var cacheMissed: Form { Form(rawValue: 1 << 2) }
        /// The transfer goes through the page cache although the file has since been switched to O_DIRECT.
        @inlinable public static var throughPageCache: Form { Form(rawValue: 1 << 3) }
        /// A write to a stream that completes when everything is written, as write(2) does without O_NONBLOCK, or with
        /// the bytes written before an error, a cancel or the deadline. A vectored write modifies the caller's iovecs.
        /// At most 2 GiB less a page, the largest count that a completion can carry.
        @inlinable public static var whole: Form { Form(rawValue: 1 << 4) }
        /// ``TransferFlags/append`` and ``TransferFlags/noAppend`` are dropped if the file supports no flags at all
        /// (some of procfs).
        @inlinable public static var dropsAppendFlags: Form { Form(rawValue: 1 << 5) }
    }

    /// Whether the transfer writes.
    @inlinable public var isWrite: Bool { form.contains(.writing) }
    /// Whether ``base`` points at iovecs.
    @inlinable public var isVectored: Bool { form.contains(.vectored) }

    /// The same transfer as a read or write, of one buffer or of several.
    @inlinable
    public func to(_ direction: Form) -> Transfer {
        var transfer = self
        transfer.form.remove([.writing, .vectored])
        transfer.form.formUnion(direction)
        return transfer
    }
}

/// Flags of one read or write, with the values of preadv2(2)'s RWF_ flags. A flag that the kernel or the file system
/// does not support completes the operation with EOPNOTSUPP or EINVAL.
public struct TransferFlags: OptionSet, BitwiseCopyable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Polls for the completion of direct I/O where the device supports it. A hint: `io_uring` would need a separate
    /// ring for it and ignores it.
    public static let highPriority = TransferFlags(rawValue: CK_RWF_HIPRI)
    /// Writes as with O_DSYNC: the data is durable on completion.
    public static let dataSync = TransferFlags(rawValue: CK_RWF_DSYNC)
    /// Writes as with O_SYNC: data and metadata are durable on completion.
    public static let sync = TransferFlags(rawValue: CK_RWF_SYNC)
    /// Completes with EAGAIN instead of waiting for the device, a lock, or data.
    public static let noWait = TransferFlags(rawValue: CK_RWF_NOWAIT)
    /// Writes at the end of the file and ignores the offset.
    public static let append = TransferFlags(rawValue: CK_RWF_APPEND)
    /// Writes at the offset although the file was opened with O_APPEND (6.9).
    public static let noAppend = TransferFlags(rawValue: CK_RWF_NOAPPEND)
    /// An atomic write, which is never torn (6.11; see the file system's atomic write unit).
    public static let atomic = TransferFlags(rawValue: CK_RWF_ATOMIC)
    /// Uncached buffered I/O: the kernel drops the pages from the page cache after the transfer (6.14).
    public static let dontCache = TransferFlags(rawValue: CK_RWF_DONTCACHE)
}

/// What a sync makes durable.
public enum SyncLevel: UInt8, BitwiseCopyable, Sendable {
    /// fdatasync(2): the data, and the metadata needed to read it back.
    case data
    /// fsync(2): the data and all metadata.
    case full
}
