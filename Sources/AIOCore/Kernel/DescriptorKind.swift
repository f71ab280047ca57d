internal import CKernel

extension Descriptor {
    /// statx(2): whether `number` is a socket.
    public static func isSocket(_ number: Int32) -> Bool {
        var status = ck_statx()
        return Kernel.status(number, CK_STATX_TYPE, &status) >= 0 && status.mode & CK_S_IFMT == CK_S_IFSOCK
    }

    /// Classifies `number` by statx(2), fcntl(2) for O_DIRECT, and fstatfs(2) or statmount(2). `other` if it is not
    /// open.
    public static func classify(_ number: Int32) -> Descriptor { identify(number).descriptor }

    /// The same for a descriptor that is open. If the kernel cannot tell what it is, `errno` says why.
    public static func classify(_ number: Int32, errno: inout Int32) -> Descriptor {
        ask(number, errno: &errno).descriptor
    }

    /// Classifies and identifies `number`. If the kernel does not tell, it may be a file of any kind: see `errno`.
    public static func identify(
        _ number: Int32, errno: inout Int32
    ) -> (descriptor: Descriptor, file: FileIdentity) {
        errno = 0
        var found = ask(number, errno: &errno)
        if errno != 0, errno != EBADF { found.descriptor.kind = .unknown }
        return found
    }

    /// The same where the reason does not matter.
    public static func identify(_ number: Int32) -> (descriptor: Descriptor, file: FileIdentity) {
        var errno: Int32 = 0
        return identify(number, errno: &errno)
    }

    private static func ask(
        _ number: Int32, errno: inout Int32
    ) -> (descriptor: Descriptor, file: FileIdentity) {
        var status = ck_statx()
        // Cached attributes suffice; a network file system's server is not asked.
        let flags = CK_AT_EMPTY_PATH | CK_AT_STATX_DONT_SYNC
        var empty: CChar = 0
        let mask = CK_STATX_TYPE | CK_STATX_INO | CK_STATX_MNT_ID_UNIQUE
        let found = Kernel.statx(number, &empty, flags, mask, &status)
        guard found >= 0 else {
            errno = Int32(-found)
            return (Descriptor(number, kind: .other), FileIdentity())
        }
        let file = FileIdentity(status)
        var descriptor = Descriptor(number, kind: kind(status.mode & CK_S_IFMT, number))
        switch status.mode & CK_S_IFMT {
        // Not for a block device: the file system of its node says nothing about the device.
        case CK_S_IFREG, CK_S_IFDIR: descriptor.backing = Kernel.backing(number, status)
        case CK_S_IFCHR: descriptor.backing = deviceBacking(status)
        default: break
        }
        return (descriptor, file)
    }

    /// Terminals and the like poll as ready, and then block in the middle of a write. The devices of mem(4) do not:
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
        // Anonymous inodes (eventfd, timerfd, signalfd) have no file type; they block as pipes do.
        default: .stream
        }
    }
}

extension FileIdentity {
    /// Identifies the file that `number` names; all zero if it is not open. statx(2), without asking a network file
    /// system's server.
    public init(ofDescriptor number: Int32) {
        var errno: Int32 = 0
        self = FileIdentity(ofDescriptor: number, errno: &errno) ?? FileIdentity()
    }

    /// The same for a file that is compared with another: what the kernel does not tell is equal to nothing. nil if it
    /// does not tell; `errno` says why.
    public init?(ofDescriptor number: Int32, errno: inout Int32) {
        var status = ck_statx()
        var empty: CChar = 0
        let flags = CK_AT_EMPTY_PATH | CK_AT_STATX_DONT_SYNC
        let found = Kernel.statx(number, &empty, flags, CK_STATX_INO, &status)
        guard found >= 0 else {
            errno = Int32(-found)
            return nil
        }
        self = FileIdentity(status)
    }
}

extension Kernel {
    /// Whether the descriptor has no file type: a signalfd, an eventfd, an epoll and the like.
    static func isAnonymous(_ descriptor: Int32) -> Bool {
        var status = ck_statx()
        var empty: CChar = 0
        let flags = CK_AT_EMPTY_PATH | CK_AT_STATX_DONT_SYNC
        return statx(descriptor, &empty, flags, CK_STATX_TYPE, &status) >= 0 && status.mode & CK_S_IFMT == 0
    }
}
