internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Everything below a path, the path itself first: each directory before what is in it, and all of that before the
    /// next entry beside it.
    ///
    /// While the caller looks at one entry, the next directories are read: up to `options.readahead` on each level and
    /// 64 in all. At most as many batches of entries are in memory, and two for each level between the root and the
    /// entry, whatever the tree's size (with `.sorted`, whole directories in their place); no more than 96 directories
    /// are open, and one more for each 256 levels. Each is opened by its name in the one above.
    ///
    /// What cannot be read is delivered as a `failure` with its path, and the walk goes on: directories without
    /// permission, and those that vanish between their name and their reading. Throws if the root cannot be asked, and
    /// `cancelled` or `deadlineExceeded`; directories that were being read have been closed by then. A loop that is left
    /// early has them closed in the background. openat2(2), getdents64(2), statx(2).
    public static func walk(
        _ path: Path, options: WalkOptions = WalkOptions(), runtime: IORuntime = .shared, deadline: Deadline = .never
    ) -> Walk {
        Walk(path: path, options: options, runtime: runtime, deadline: deadline)
    }
}

public struct WalkOptions: Sendable {
    /// What is to be found out of each entry. With `.followLinks`, symbolic links that lead to directories are entered;
    /// one that leads back to a directory above is a `failure` with ELOOP. Without, the root is followed only if its
    /// path ends with a slash.
    public var entries: DirectoryOptions = []
    /// Directories that lie on another file system than the root are delivered, and not entered.
    public var staysOnFileSystem = false
    /// Directories this deep are delivered, and not entered; the root has depth 0.
    public var depthMax = Int.max
    /// Directories of one level that are read before their turn; 0 for none.
    public var readahead = 8

    public init() {}

    public init(_ entries: DirectoryOptions) { self.entries = entries }
}

/// A file in a tree that is walked.
public struct WalkEntry: Sendable {
    /// The root's path with the names below appended.
    public let path: Path
    /// 0 for the root.
    public let depth: Int
    public let type: FileType
    public let inode: UInt64
    /// Where it was asked for. The root's always.
    public let status: FileStatus?
    /// The directory that it lies in, and the one that it is: from a walk that keeps them.
    var parent: TreeDirectory?
    var directory: TreeDirectory?
}

extension WalkEntry {
    /// Its name in the directory that it lies in, from a walk that tells directories: to open it without its whole path.
    package var nameInDirectory: NameInDirectory? { parent.map { NameInDirectory(directory: $0, name: path.lastName) } }
}

package struct NameInDirectory: Sendable {
    let directory: TreeDirectory
    let name: Path

    /// openat2(2), on a worker's thread. A descriptor, or a negative errno.
    package func open(_ flags: UInt64) -> Int {
        switch directory.open() {
        case .failure(let failure): return failure.result
        case .success(let open):
            var how = ck_open_how(flags: flags | CK_O_CLOEXEC, mode: 0, resolve: 0)
            return name.withCString { Kernel.openat2(open.number, $0, &how) }
        }
    }
}

public enum WalkItem: Sendable {
    case entry(WalkEntry)
    /// What is wrong with one path. The walk goes on.
    case failure(IOError)
}

/// A tree that is walked: what `FileSystem.walk` returns. Each loop over it walks anew.
public struct Walk: AsyncSequence, Sendable {
    public typealias Element = WalkItem
    public typealias Failure = IOError

    let path: Path
    let options: WalkOptions
    let runtime: IORuntime
    let deadline: Deadline
    /// Entries know their directories.
    package var tellsDirectories = false
    /// And those stay open until whoever walks says that they are done with; for copies.
    var keepsDirectories = false
    /// Holds no more directories open than it must.
    var hasFewDescriptors = false

    public func makeAsyncIterator() -> WalkIterator { WalkIterator(self) }
}
