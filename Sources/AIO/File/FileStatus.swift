internal import CKernel

/// A file's metadata, as statx(2) reports it.
public struct FileStatus: Sendable {
    /// The file's size in bytes; 0 for a block device.
    public let size: Int64
    /// The number of bytes allocated on the device: fewer than ``size`` if the file has holes.
    public let allocatedSize: Int64
    /// Type and permission bits, as `st_mode` of stat(2).
    public let mode: UInt16
    /// The number of names (hard links).
    public let linkCount: UInt32
    /// The numeric owner.
    public let userID: UInt32
    /// The numeric group.
    public let groupID: UInt32
    /// The file's number in its file system.
    public let inode: UInt64
    /// The device number of the file system, major and minor. Together with ``inode`` it identifies a file.
    public let device: (major: UInt32, minor: UInt32)
    /// The time of the last read, since 1970-01-01T00:00:00Z. Few mounts record every read (`relatime`).
    public let accessTime: Duration
    /// The time of the last change of the content, since 1970-01-01T00:00:00Z.
    public let modificationTime: Duration
    /// The time of the last change of content or metadata, since 1970-01-01T00:00:00Z. No call can set it.
    public let changeTime: Duration
    /// The time of the file's creation, since 1970-01-01T00:00:00Z; nil if the file system does not record it.
    public let birthTime: Duration?
    /// The alignment in bytes that O_DIRECT requires of memory, and of offsets and counts. nil if the file does not
    /// support direct I/O, or if the kernel does not report it (before Linux 6.1).
    public let directAlignment: (memory: Int, offset: Int)?

    /// Whether the file is a regular file.
    public var isRegularFile: Bool { mode & CK_S_IFMT == CK_S_IFREG }
    /// Whether the file is a directory.
    public var isDirectory: Bool { mode & CK_S_IFMT == CK_S_IFDIR }
    /// Whether the file is a symbolic link itself, which only a status without following links reports.
    public var isSymbolicLink: Bool { mode & CK_S_IFMT == CK_S_IFLNK }
    /// The permissions, including set-user-ID, set-group-ID and sticky bits: the lower 12 bits of ``mode``.
    public var permissions: UInt16 { mode & 0o7777 }

    /// `device` as one number.
    var fileSystem: UInt64 { UInt64(device.major) << 32 | UInt64(device.minor) }

    /// The fields requested from statx(2).
    static var mask: UInt32 { CK_STATX_BASIC_STATS | CK_STATX_BTIME | CK_STATX_DIOALIGN }

    init(_ status: ck_statx) {
        size = Int64(bitPattern: status.size)
        // statx(2) counts in units of 512 bytes, whatever the file system's block size.
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
