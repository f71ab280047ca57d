/// A name in a directory that is opened on demand.
struct CopyPlace: Sendable {
    let directory: TreeDirectory
    let name: Path
    /// The path as the caller gave it; nil for entries of a tree, whose paths are built on demand.
    private let given: Path?

    init(_ name: Path, in directory: TreeDirectory) {
        self.directory = directory
        self.name = name
        given = nil
    }

    /// nil if the path does not end with a name.
    init?(_ path: Path, _ flags: UInt64) {
        guard let placed = PlacedName(path) else { return nil }
        directory = TreeDirectory(root: placed.directory, flags)
        name = placed.name
        given = path
    }

    var path: Path { given ?? directory.path.appending(name) }

    /// Opens the directory that contains the name. On a worker's thread. An error is about the name: that is what
    /// cannot be copied.
    func openDirectory() throws(IOError) -> OpenDirectory { try directory.open().forCopy(path) }
}

extension TreeDirectory {
    /// `open`, with a failure as an error of the copy.
    func openForCopy() throws(IOError) -> OpenDirectory { try open().forCopy(path) }
}

extension Result<OpenDirectory, DirectoryFailure> {
    func forCopy(_ path: @autoclosure () -> Path) throws(IOError) -> OpenDirectory {
        switch self {
        case .success(let directory): return directory
        case .failure(let failure):
            throw IOError(result: Int32(truncatingIfNeeded: failure.result), "open", path: path())
        }
    }
}
