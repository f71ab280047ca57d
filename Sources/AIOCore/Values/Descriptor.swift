public import CKernel

/// A file descriptor, and what is known about the file behind it.
///
/// A known kind saves system calls per operation; with ``Kind/unknown``, an engine that needs the kind determines it.
/// The descriptor is borrowed: its owner closes it, and only after the operations on it are drained.
public struct Descriptor: BitwiseCopyable, Sendable, Equatable {
    /// The type of the file, as far as it determines how operations are executed.
    public enum Kind: UInt8, BitwiseCopyable, Sendable {
        /// Not determined yet.
        case unknown
        /// A regular file or block device, accessed through the page cache.
        case buffered
        /// A regular file or block device opened with O_DIRECT.
        case direct
        /// A pipe, FIFO, socket, terminal or other character device: offsets are ignored, and operations may block.
        case stream
        /// A directory, or anything else that supports neither reads nor writes.
        case other
    }

    /// Where the content of a file or block device is while it is not in the page cache.
    public enum Backing: UInt8, BitwiseCopyable, Sendable {
        /// On a device of this machine.
        case device
        /// Only in memory, or swapped out: tmpfs, ramfs, memfd_create(2).
        case memory
        /// With another party: a network file system's server, a FUSE daemon, the user of a terminal. An operation may
        /// block indefinitely.
        case remote
    }

    /// The descriptor's number, or the index of a registered file.
    public var number: Int32
    /// The type of the file, as far as it is known.
    public var kind: Kind
    /// Where the file's content is.
    public var backing = Backing.device
    /// Whether `number` is an index into the files registered with the queue.
    public var isRegistered: Bool

    /// A descriptor of this process; with a known `kind`, engines need not determine it.
    public init(_ number: Int32, kind: Kind = .unknown) {
        self.number = number
        self.kind = kind
        self.isRegistered = false
    }

    /// The file registered at `index` (see ``EngineQueue/register(files:)``).
    public static func registered(_ index: Int32, kind: Kind = .unknown) -> Descriptor {
        var descriptor = Descriptor(index, kind: kind)
        descriptor.isRegistered = true
        return descriptor
    }

    /// Whether both have the same number, or the same index. Kind and backing are ignored.
    func isSame(as other: Descriptor) -> Bool { number == other.number && isRegistered == other.isRegistered }

}

/// Identifies a file while it is open, by device and inode. Pipes and sockets have an identity as well; all anonymous
/// inodes (eventfd and the like) share one.
public struct FileIdentity: BitwiseCopyable, Sendable, Equatable {
    /// The device number of the file system, major and minor in one.
    public var device: UInt64 = 0
    /// The file's number in its file system.
    public var inode: UInt64 = 0

    /// From the two numbers.
    public init(device: UInt64 = 0, inode: UInt64 = 0) {
        self.device = device
        self.inode = inode
    }

    /// From the result of statx(2).
    public init(_ status: ck_statx) {
        self.init(device: UInt64(status.device_major) << 32 | UInt64(status.device_minor), inode: status.inode)
    }

}
