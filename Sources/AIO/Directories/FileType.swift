internal import CKernel

/// The type of a file.
public enum FileType: Sendable, Hashable {
    /// A regular file.
    case regular
    /// A directory.
    case directory
    /// A symbolic link itself.
    case symbolicLink
    /// A named pipe.
    case fifo
    /// A Unix-domain socket.
    case socket
    /// A character device, such as a terminal.
    case characterDevice
    /// A block device, such as a disk.
    case blockDevice
    /// None of these types, or the type could not be determined.
    case unknown

    /// From the type in `st_mode` of stat(2).
    init(mode: UInt16) {
        switch mode & CK_S_IFMT {
        case CK_S_IFREG: self = .regular
        case CK_S_IFDIR: self = .directory
        case CK_S_IFLNK: self = .symbolicLink
        case CK_S_IFIFO: self = .fifo
        case CK_S_IFSOCK: self = .socket
        case CK_S_IFCHR: self = .characterDevice
        case CK_S_IFBLK: self = .blockDevice
        default: self = .unknown
        }
    }

    /// From the type of a directory record, such as CK_DT_DIR.
    init(entry type: UInt8) {
        switch type {
        case CK_DT_REG: self = .regular
        case CK_DT_DIR: self = .directory
        case CK_DT_LNK: self = .symbolicLink
        case CK_DT_FIFO: self = .fifo
        case CK_DT_SOCK: self = .socket
        case CK_DT_CHR: self = .characterDevice
        case CK_DT_BLK: self = .blockDevice
        default: self = .unknown
        }
    }
}

extension FileStatus {
    /// The type of the file, from ``mode``.
    public var type: FileType { FileType(mode: mode) }
}
