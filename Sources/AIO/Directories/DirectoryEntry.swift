/// A name in a directory, and what is known of the file that it stands for.
public struct DirectoryEntry: Sendable {
    /// Any bytes but NUL and `/`. A path relative to the directory.
    public let name: Path
    /// With links followed, that of the file a symbolic link leads to; `symbolicLink` then means that it leads nowhere.
    public internal(set) var type: FileType
    /// As the directory has it; of a mount point, that of the directory below.
    public let inode: UInt64
    /// Where it was asked for; nil if it could not be had.
    public internal(set) var status: FileStatus?
    /// Why `status` could not be had: ENOENT if the name was taken away meanwhile.
    public internal(set) var statusErrno: Errno?
}

/// What is to be found out of a directory's entries.
public struct DirectoryOptions: OptionSet, Sendable {
    public let rawValue: Int
    public init(rawValue: Int) { self.rawValue = rawValue }

    /// The status of every entry, with `DirectoryEntry.status`. The same hand-over that reads the names asks for it.
    public static let status = DirectoryOptions(rawValue: 1)
    /// Type and status of a symbolic link are those of what it leads to.
    public static let followLinks = DirectoryOptions(rawValue: 2)
    /// The entries come in the order of their names' bytes. Each directory is then held in memory whole.
    public static let sorted = DirectoryOptions(rawValue: 4)
}
