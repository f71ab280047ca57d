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

    /// statx(2): whether `number` is a socket.
    public static func isSocket(_ number: Int32) -> Bool {
        var status = ck_statx()
        return Kernel.status(number, CK_STATX_TYPE, &status) >= 0 && status.mode & CK_S_IFMT == CK_S_IFSOCK
    }

    /// Asks the kernel what `number` is: statx(2), fcntl(2) for O_DIRECT, and fstatfs(2) or statmount(2). `other` for one
    /// that is not open.
    public static func classify(_ number: Int32) -> Descriptor { identify(number).descriptor }

    /// The same, and which file it is.
    public static func identify(_ number: Int32) -> (descriptor: Descriptor, file: FileIdentity) {
        var status = ck_statx()
        // What is known locally is enough; a network file system is not to be asked.
        let flags = CK_AT_EMPTY_PATH | CK_AT_STATX_DONT_SYNC
        var empty: CChar = 0
        guard Kernel.statx(number, &empty, flags, CK_STATX_TYPE | CK_STATX_INO | CK_STATX_MNT_ID_UNIQUE, &status) >= 0
        else {
            return (Descriptor(number, kind: .other), FileIdentity())
        }
        let file = FileIdentity(status)
        var descriptor = Descriptor(number, kind: kind(status.mode & CK_S_IFMT, number))
        switch status.mode & CK_S_IFMT {
        // The file system of a block device's name says nothing about the device.
        case CK_S_IFREG, CK_S_IFDIR: descriptor.backing = Kernel.backing(number, status)
        case CK_S_IFCHR: descriptor.backing = deviceBacking(status)
        default: break
        }
        return (descriptor, file)
    }

    /// Terminals and their like say that they are ready, and then wait in the middle of a write. Not the devices of mem(4):
    /// null, zero, full, urandom.
    private static func deviceBacking(_ status: ck_statx) -> Backing {
        guard status.special_device_major == 1 else { return .remote }
        switch status.special_device_minor {
        case 3, 5, 7, 9: return .memory
        default: return .remote
        }
    }

    private static func kind(_ type: UInt16, _ number: Int32) -> Kind {
        switch type {
        case CK_S_IFREG, CK_S_IFBLK:
            UInt64(max(0, Kernel.openFlags(number))) & CK_O_DIRECT != 0 ? .direct : .buffered
        case CK_S_IFDIR: .other
        // Anonymous inodes (eventfd, timerfd, signalfd) have no type at all; they wait like a pipe does.
        default: .stream
        }
    }
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

    /// Of what `number` names; all zero if that is not open. statx(2), without asking a network file system.
    public init(ofDescriptor number: Int32) {
        var status = ck_statx()
        var empty: CChar = 0
        let flags = CK_AT_EMPTY_PATH | CK_AT_STATX_DONT_SYNC
        let found = Kernel.statx(number, &empty, flags, CK_STATX_INO, &status)
        self = found >= 0 ? FileIdentity(status) : FileIdentity()
    }
}

extension Kernel {
    /// Whether it is of no type: a signalfd, an eventfd, an epoll descriptor and their like.
    static func isAnonymous(_ descriptor: Int32) -> Bool {
        var status = ck_statx()
        var empty: CChar = 0
        let flags = CK_AT_EMPTY_PATH | CK_AT_STATX_DONT_SYNC
        return statx(descriptor, &empty, flags, CK_STATX_TYPE, &status) >= 0 && status.mode & CK_S_IFMT == 0
    }
}
