internal import AIOCore
internal import CKernel

extension FileSystem {
    /// All files below a path in depth-first order, beginning with the path itself: each directory comes before its
    /// contents, and its contents come before its next sibling.
    ///
    /// While the caller processes an entry, the next directories are read ahead: up to ``WalkOptions/readahead`` on
    /// each level, and 64 in total. In memory are at most as many batches of entries, and two for each level between
    /// the root and the entry, regardless of the tree's size; with ``DirectoryOptions/sorted``, whole directories take
    /// their place. At most 96 directories are open, and one more for each 256 levels. Each directory is opened by its
    /// name in its parent.
    ///
    /// A path that cannot be read is delivered as a ``WalkItem/failure(_:)``, and the walk continues: directories
    /// without permission, and those that disappear before they are read. The sequence throws if the root's status
    /// cannot be read, and ``IOError/Code/cancelled`` or ``IOError/Code/deadlineExceeded`` (`deadline` is that of the
    /// whole walk); directories that were being read are closed by then. When a loop exits early, they are closed in
    /// the background. Kernel calls: openat2(2), getdents64(2), statx(2).
    public static func walk(
        _ path: Path, options: WalkOptions = WalkOptions(), runtime: IORuntime = .shared, deadline: Deadline = .never
    ) -> Walk {
        Walk(path: path, options: options, runtime: runtime, deadline: deadline)
    }
}

/// What ``FileSystem/walk(_:options:runtime:deadline:)`` visits and reads.
public struct WalkOptions: Sendable {
    /// What to determine about each entry. With ``DirectoryOptions/followLinks``, symbolic links to directories are
    /// entered; a link that leads back to an ancestor is a ``WalkItem/failure(_:)`` with `ELOOP`. Without it, a link is
    /// followed only at the root, and only if the path ends with a slash.
    public var entries: DirectoryOptions = []
    /// Delivers directories on another file system than the root's without entering them.
    public var staysOnFileSystem = false
    /// Delivers directories of this depth without entering them. The root has depth 0.
    public var depthMax = Int.max
    /// The number of directories on a level that are read ahead; 0 for none. Eight keep a disk busy, and hold few
    /// batches in memory.
    public var readahead = 8

    /// Visits everything, and determines types alone.
    public init() {}

    /// Visits everything, and determines this about each entry.
    public init(_ entries: DirectoryOptions) { self.entries = entries }
}

/// A file in a walked tree.
public struct WalkEntry: Sendable {
    /// The root's path followed by the names below it.
    public let path: Path
    /// The number of directories between the root and the entry, and one; the root has depth 0.
    public let depth: Int
    /// The type of the file.
    public let type: FileType
    /// The inode in the directory's record; for a mount point, that of the covered directory.
    public let inode: UInt64
    /// The status, if it was requested (``DirectoryOptions/status``) and could be read; for the root always.
    public var status: FileStatus? { sharedStatus?.value }
    let sharedStatus: SharedStatus?
    /// The parent directory, and the directory that the entry is; from a walk that keeps directories.
    var parent: TreeDirectory?
    var directory: TreeDirectory?
}

extension WalkEntry {
    /// The entry's name and parent directory, for opening it without its whole path; from a walk that tells
    /// directories.
    @_spi(AIOCommand) public var nameInDirectory: NameInDirectory? {
        parent.map { NameInDirectory(directory: $0, name: path.lastName) }
    }
}

/// A name in the directory of a walk, which can be opened without a path.
@_spi(AIOCommand) public struct NameInDirectory: Sendable {
    let directory: TreeDirectory
    let name: Path

    /// openat2(2), on a worker's thread. Returns a descriptor or a negative errno.
    @_spi(AIOCommand) public func open(_ flags: UInt64) -> Int {
        switch directory.open() {
        case .failure(let failure): return failure.result
        case .success(let open):
            var how = ck_open_how(flags: flags | CK_O_CLOEXEC, mode: 0, resolve: 0)
            return name.withCString { Kernel.openat2(open.number, $0, &how) }
        }
    }
}

/// An element of a walk.
public enum WalkItem: Sendable {
    /// A file or directory.
    case entry(WalkEntry)
    /// The error of one path. The walk continues.
    case failure(IOError)
}

/// A walked tree: the result of ``FileSystem/walk(_:options:runtime:deadline:)``. Each iteration walks anew.
public struct Walk: AsyncSequence, Sendable {
    public typealias Element = WalkItem
    public typealias Failure = IOError

    let path: Path
    let options: WalkOptions
    let runtime: IORuntime
    let deadline: Deadline
    /// Whether entries refer to their directories.
    @_spi(AIOCommand) public var tellsDirectories = false
    /// Whether these directories stay open until the caller ends them. For copies.
    var keepsDirectories = false
    /// Whether the walk keeps as few directories open as possible.
    var hasFewDescriptors = false

    public func makeAsyncIterator() -> WalkIterator { WalkIterator(self) }
}
