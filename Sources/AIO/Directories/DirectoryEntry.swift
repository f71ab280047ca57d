/// A name in a directory, and what is known about its file.
public struct DirectoryEntry: Sendable {
    /// Bytes other than NUL and `/`: a path relative to the directory.
    public let name: Path
    /// The type of the file. With ``DirectoryOptions/followLinks`` that of the file that a symbolic link leads to;
    /// ``FileType/symbolicLink`` then means a dangling link.
    public internal(set) var type: FileType
    /// The inode in the directory's record; for a mount point, that of the covered directory.
    public let inode: UInt64
    /// The status, if it was requested (``DirectoryOptions/status``); nil if it could not be read.
    public var status: FileStatus? { sharedStatus?.value }
    var sharedStatus: SharedStatus?
    /// The error of the status: `ENOENT` if the name was removed in the meantime.
    public internal(set) var statusErrno: Errno?
}

/// A status behind a reference: entries are copied several times on their way to the caller, and most have none.
final class SharedStatus: Sendable {
    let value: FileStatus

    init(_ value: FileStatus) { self.value = value }
}

/// What to determine about a directory's entries.
public struct DirectoryOptions: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// Reads the status of every entry, ``DirectoryEntry/status``, on the worker that reads the names.
    public static let status = DirectoryOptions(rawValue: 1)
    /// Reports the type and status of a symbolic link's target.
    public static let followLinks = DirectoryOptions(rawValue: 2)
    /// Sorts the entries by the bytes of their names. Each directory is then held in memory as a whole.
    public static let sorted = DirectoryOptions(rawValue: 4)
}
