internal import CKernel

/// The type of a file.
public enum FileType: Sendable, Hashable {
    case regular, directory, symbolicLink, fifo, socket, characterDevice, blockDevice
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
    public var type: FileType { FileType(mode: mode) }
}
