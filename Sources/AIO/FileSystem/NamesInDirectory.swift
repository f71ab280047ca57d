internal import AIOCore
internal import CKernel

/// Functions on names, with paths relative to an open directory, a file opened with ``File/OpenOptions/directory``. The
/// path must stay below the directory unless `confinement` says otherwise: a `..`, an absolute path or a symbolic link
/// that leads out of it fails with `EXDEV` (``IOError/errno``), even while other processes rename or replace components
/// of the path.
///
/// Each function is one operation on a worker. The directory is in use until the call returns, so closing it waits; a
/// closed one is ``IOError/Code/fileClosed``. Kernel calls: openat2(2) and the one that is named.
extension FileSystem {
    /// A file's metadata; with `followLinks` false, that of a symbolic link itself. Kernel call: statx(2).
    public static func status(
        of path: Path, in directory: File, confinement: File.Confinement = .beneath, followLinks: Bool = true,
        deadline: Deadline = .never
    ) async throws(IOError) -> FileStatus {
        let result = UnsafeMutablePointer<ck_statx>.allocate(capacity: 1)
        defer { result.deallocate() }
        result.initialize(to: ck_statx())
        _ = try await directory.perform("statx", path, deadline) { () throws(IOError) in
            try OpenPath(path, directory, confinement, followLinks, .status(result), deadline, "statx")
        }
        return FileStatus(result.pointee)
    }

    /// The target of a symbolic link, as it was given. Kernel call: readlinkat(2).
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the path is not a symbolic link.
    public static func readLink(
        _ path: Path, in directory: File, confinement: File.Confinement = .beneath, deadline: Deadline = .never
    ) async throws(IOError) -> Path {
        // A symbolic link of a file system has at most 4095 bytes.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 1)
        defer { buffer.deallocate() }
        let count = try await directory.perform("readlink", path, deadline) { () throws(IOError) in
            try OpenPath(path, directory, confinement, false, .readLink(buffer), deadline, "readlink")
        }
        return Path(bytes: buffer.prefix(Int(count)))
    }

    /// Removes a name of a file, and the file with its last name once nobody has it open. Symbolic links are removed,
    /// not followed. Kernel call: unlinkat(2).
    ///
    /// - Throws: ``IOError/Code/isDirectory`` for a directory; ``IOError/Code/notFound``.
    public static func unlink(
        _ path: Path, in directory: File, confinement: File.Confinement = .beneath, deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await directory.perform("unlink", path, deadline) { () throws(IOError) in
            try NameChange(.unlink(flags: 0), path, directory, confinement, deadline, "unlink")
        }
    }

    /// Removes an empty directory. Kernel call: unlinkat(2) with AT_REMOVEDIR.
    ///
    /// - Throws: `ENOTEMPTY` or `EBUSY` (``IOError/errno``) if it is not empty or a mount point;
    ///   ``IOError/Code/notDirectory``; ``IOError/Code/notFound``.
    public static func removeDirectory(
        _ path: Path, in directory: File, confinement: File.Confinement = .beneath, deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await directory.perform("rmdir", path, deadline) { () throws(IOError) in
            try NameChange(.unlink(flags: CK_AT_REMOVEDIR), path, directory, confinement, deadline, "rmdir")
        }
    }

    /// Creates a directory with these permissions, less the umask. Its parent must exist. Kernel call: mkdirat(2).
    ///
    /// - Throws: ``IOError/Code/alreadyExists`` if the name is taken; ``IOError/Code/notFound`` without the parent.
    public static func makeDirectory(
        _ path: Path, in directory: File, confinement: File.Confinement = .beneath, permissions: UInt16 = 0o777,
        deadline: Deadline = .never
    ) async throws(IOError) {
        let change = NameChange.Change.makeDirectory(permissions: UInt32(permissions & 0o7777))
        _ = try await directory.perform("mkdir", path, deadline) { () throws(IOError) in
            try NameChange(change, path, directory, confinement, deadline, "mkdir")
        }
    }

    /// Creates a symbolic link to `target`, which is not confined and need not exist. Kernel call: symlinkat(2).
    ///
    /// - Throws: ``IOError/Code/alreadyExists`` if the name is taken.
    public static func makeSymbolicLink(
        at path: Path, in directory: File, confinement: File.Confinement = .beneath, to target: Path,
        deadline: Deadline = .never
    ) async throws(IOError) {
        guard !target.hasInteriorNUL else {
            throw IOError(.invalidArgument, "symlink", path: path, advice: "the target contains a NUL byte")
        }
        _ = try await directory.perform("symlink", path, deadline) { () throws(IOError) in
            try NameChange(.symbolicLink(target: target), path, directory, confinement, deadline, "symlink")
        }
    }

    /// Renames a file or directory within its file system. `newPath` is relative to `newDirectory`, or with nil to
    /// `directory`; both paths are confined. An existing file of the new name is replaced atomically. Kernel call:
    /// renameat2(2).
    ///
    /// - Throws: the errors of ``rename(_:to:options:runtime:deadline:)``.
    public static func rename(
        _ path: Path, in directory: File, to newPath: Path, in newDirectory: File? = nil,
        confinement: File.Confinement = .beneath, options: RenameOptions = [], deadline: Deadline = .never
    ) async throws(IOError) {
        try await change(
            "rename", .rename(flags: options.rawValue), path, directory, newPath, newDirectory, confinement, deadline)
    }

    /// Gives a file another name on the same file system (a hard link). `newPath` is relative to `newDirectory`, or
    /// with nil to `directory`; both paths are confined. A symbolic link is linked itself. Kernel call: linkat(2).
    ///
    /// - Throws: the errors of ``link(_:to:runtime:deadline:)``.
    public static func link(
        _ path: Path, in directory: File, to newPath: Path, in newDirectory: File? = nil,
        confinement: File.Confinement = .beneath, deadline: Deadline = .never
    ) async throws(IOError) {
        try await change("link", .link, path, directory, newPath, newDirectory, confinement, deadline)
    }

    private static func change(
        _ name: String, _ change: PlaceChange.Change, _ path: Path, _ directory: File, _ newPath: Path,
        _ newDirectory: File?, _ confinement: File.Confinement, _ deadline: Deadline
    ) async throws(IOError) {
        let newDirectory = newDirectory ?? directory
        try newDirectory.begin(name, deadline)
        defer { newDirectory.lease.end() }
        do throws(IOError) {
            _ = try await directory.perform(name, path, deadline) { () throws(IOError) in
                PlaceChange(
                    change, from: try PlacedName(path, for: name), PathOrigin(directory, confinement),
                    to: try PlacedName(newPath, for: name), PathOrigin(newDirectory, confinement), deadline)
            }
        } catch {
            var error = error
            error.advice = error.advice ?? "the other path is \(newPath)"
            throw error
        }
    }
}

extension File {
    /// Carries out work in this directory, which stays open until the work has completed.
    fileprivate func perform(
        _ name: String, _ path: Path, _ deadline: Deadline, _ work: () throws(IOError) -> BlockingWork
    ) async throws(IOError) -> Int32 {
        try begin(name, deadline)
        defer { lease.end() }
        return try await runtime.perform(try work(), name, path, deadline)
    }
}

/// Opens a path with O_PATH and queries the file.
private final class OpenPath: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says; the results are borrowed from a caller that waits.
    enum Question {
        case status(UnsafeMutablePointer<ck_statx>)
        case readLink(UnsafeMutableRawBufferPointer)
    }

    private let path: Path
    private let origin: PathOrigin
    private let flags: UInt64
    private let question: Question

    init(
        _ path: Path, _ directory: File, _ confinement: File.Confinement, _ followLinks: Bool, _ question: Question,
        _ deadline: Deadline, _ operation: String
    ) throws(IOError) {
        guard !path.hasInteriorNUL else {
            throw IOError(.invalidArgument, operation, path: path, advice: "the path contains a NUL byte")
        }
        self.path = path
        origin = PathOrigin(directory, confinement)
        flags = CK_O_PATH | (followLinks ? 0 : CK_O_NOFOLLOW)
        self.question = question
        super.init(deadline: deadline.nanoseconds)
    }

    override func run() -> Int {
        let descriptor = path.withCString { origin.open($0, flags) }
        guard descriptor >= 0 else { return descriptor }
        defer { Kernel.close(Int32(descriptor)) }
        switch question {
        case .status(let result):
            return Kernel.status(Int32(descriptor), FileStatus.mask, result)
        case .readLink(let buffer):
            let count = "".withCString {
                Kernel.readlinkat(Int32(descriptor), $0, buffer.baseAddress!, buffer.count)
            }
            // readlinkat(2) with an empty path fails with ENOENT if the descriptor is not a symbolic link.
            return count == -Int(ENOENT) ? -Int(EINVAL) : count
        }
    }
}

/// A change of one name.
private final class NameChange: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    enum Change {
        case unlink(flags: Int32)
        case makeDirectory(permissions: UInt32)
        case symbolicLink(target: Path)
    }

    private let change: Change
    private let place: PlacedName
    private let origin: PathOrigin

    init(
        _ change: Change, _ path: Path, _ directory: File, _ confinement: File.Confinement, _ deadline: Deadline,
        _ operation: String
    ) throws(IOError) {
        self.change = change
        place = try PlacedName(path, for: operation)
        origin = PathOrigin(directory, confinement)
        super.init(deadline: deadline.nanoseconds)
    }

    override func run() -> Int {
        let opened = place.openDirectory(from: origin)
        guard opened >= 0 else { return opened }
        let directory = Int32(opened)
        defer { Kernel.close(directory) }
        guard !shouldEnd else { return -Int(ECANCELED) }
        return place.name.withCString { name in
            switch change {
            case .unlink(let flags): Kernel.unlinkat(directory, name, flags)
            case .makeDirectory(let permissions): Kernel.mkdirat(directory, name, permissions)
            case .symbolicLink(let target): target.withCString { Kernel.symlinkat($0, directory, name) }
            }
        }
    }
}

/// A change of two names.
private final class PlaceChange: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    enum Change {
        case rename(flags: UInt32)
        case link
    }

    private let change: Change
    private let source: (place: PlacedName, origin: PathOrigin)
    private let target: (place: PlacedName, origin: PathOrigin)

    init(
        _ change: Change, from source: PlacedName, _ sourceOrigin: PathOrigin, to target: PlacedName,
        _ targetOrigin: PathOrigin, _ deadline: Deadline
    ) {
        self.change = change
        self.source = (source, sourceOrigin)
        self.target = (target, targetOrigin)
        super.init(deadline: deadline.nanoseconds)
    }

    override func run() -> Int {
        let opened = source.place.openDirectory(from: source.origin)
        guard opened >= 0 else { return opened }
        defer { Kernel.close(Int32(opened)) }
        let targetOpened = target.place.openDirectory(from: target.origin)
        guard targetOpened >= 0 else { return targetOpened }
        defer { Kernel.close(Int32(targetOpened)) }
        guard !shouldEnd else { return -Int(ECANCELED) }
        return source.place.name.withCString { name in
            target.place.name.withCString { newName in
                switch change {
                case .rename(let flags):
                    Kernel.renameat2(Int32(opened), name, Int32(targetOpened), newName, flags)
                case .link:
                    Kernel.linkat(Int32(opened), name, Int32(targetOpened), newName, 0)
                }
            }
        }
    }
}
