internal import CKernel

/// What a file system knows of a file, statx(2).
public struct FileStatus: Sendable {
    /// Bytes.
    public let size: Int64
    /// Bytes that it takes on the device.
    public let allocatedSize: Int64
    /// Type and permissions, as in stat(2)'s `st_mode`.
    public let mode: UInt16
    public let linkCount: UInt32
    public let userID: UInt32
    public let groupID: UInt32
    public let inode: UInt64
    /// The file system's own number, major and minor: with `inode` it tells files apart.
    public let device: (major: UInt32, minor: UInt32)
    /// Since 1970-01-01T00:00:00Z.
    public let accessTime: Duration
    public let modificationTime: Duration
    public let changeTime: Duration
    /// nil where the file system does not keep it.
    public let birthTime: Duration?
    /// What O_DIRECT asks of memory and of offsets and counts, in bytes; nil if the file cannot do direct I/O, or the
    /// kernel (before 6.1) does not say.
    public let directAlignment: (memory: Int, offset: Int)?

    public var isRegularFile: Bool { mode & CK_S_IFMT == CK_S_IFREG }
    public var isDirectory: Bool { mode & CK_S_IFMT == CK_S_IFDIR }
    public var isSymbolicLink: Bool { mode & CK_S_IFMT == CK_S_IFLNK }
    public var permissions: UInt16 { mode & 0o7777 }

    /// `device` in one number.
    var fileSystem: UInt64 { UInt64(device.major) << 32 | UInt64(device.minor) }

    /// What statx(2) is asked for.
    static var mask: UInt32 { CK_STATX_BASIC_STATS | CK_STATX_BTIME | CK_STATX_DIOALIGN }

    init(_ status: ck_statx) {
        size = Int64(bitPattern: status.size)
        allocatedSize = Int64(bitPattern: status.blocks &* 512)
        mode = status.mode
        linkCount = status.link_count
        userID = status.user
        groupID = status.group
        inode = status.inode
        device = (status.device_major, status.device_minor)
        accessTime = Duration(status.access_time)
        modificationTime = Duration(status.modification_time)
        changeTime = Duration(status.change_time)
        birthTime = status.mask & CK_STATX_BTIME != 0 ? Duration(status.birth_time) : nil
        let tellsAlignment = status.mask & CK_STATX_DIOALIGN != 0 && status.direct_offset_alignment > 0
        directAlignment =
            tellsAlignment
            ? (Int(status.direct_memory_alignment), Int(status.direct_offset_alignment)) : nil
    }
}

extension Duration {
    fileprivate init(_ time: ck_statx_timestamp) {
        self = .seconds(time.seconds) + .nanoseconds(Int64(time.nanoseconds))
    }
}
