public import CKernel

/// A file descriptor, and what is known of the file behind it.
///
/// The kind spares an engine a question per operation; `unknown` makes it ask. A descriptor is
/// borrowed: whoever made it closes it, and not before its operations are drained.
public struct Descriptor: BitwiseCopyable, Sendable, Equatable {
    public enum Kind: UInt8, BitwiseCopyable, Sendable {
        /// Not asked yet.
        case unknown
        /// A regular file or block device through the page cache.
        case buffered
        /// A regular file or block device opened with O_DIRECT.
        case direct
        /// A pipe, FIFO, socket, terminal or other character device: offsets mean nothing, and it may wait.
        case stream
        /// A directory, or something else that can be neither read nor written.
        case other
    }

    /// Where the content of a file or block device is, when it is not in the page cache.
    public enum Backing: UInt8, BitwiseCopyable, Sendable {
        /// On a device of this machine.
        case device
        /// Nowhere else, unless swapped out: tmpfs, ramfs, files of memfd_create(2).
        case memory
        /// With another machine, a program (FUSE), or whoever is at a terminal, which may let an operation wait for ever.
        case remote
    }

    /// The number; for a registered file, its index.
    public var number: Int32
    public var kind: Kind
    public var backing = Backing.device
    /// Whether `number` is an index into the files registered with the queue.
    public var isRegistered: Bool

    public init(_ number: Int32, kind: Kind = .unknown) {
        self.number = number
        self.kind = kind
        self.isRegistered = false
    }

    /// The file registered at `index` (see `EngineQueue.register(files:)`).
    public static func registered(_ index: Int32, kind: Kind = .unknown) -> Descriptor {
        var descriptor = Descriptor(index, kind: kind)
        descriptor.isRegistered = true
        return descriptor
    }

    /// Whether both are one number, or one index, whatever is known of the file.
    func isSame(as other: Descriptor) -> Bool { number == other.number && isRegistered == other.isRegistered }

}

/// Tells files apart, as long as they are open. Pipes and sockets have one too; eventfds and their like share one.
public struct FileIdentity: BitwiseCopyable, Sendable, Equatable {
    public var device: UInt64 = 0
    public var inode: UInt64 = 0

    public init(device: UInt64 = 0, inode: UInt64 = 0) {
        self.device = device
        self.inode = inode
    }

    public init(_ status: ck_statx) {
        self.init(device: UInt64(status.device_major) << 32 | UInt64(status.device_minor), inode: status.inode)
    }

}
