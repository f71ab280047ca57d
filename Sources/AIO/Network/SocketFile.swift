internal import AIOCore
internal import CKernel

/// The path of a socket that bind(2) created, with its identity, which distinguishes it from a later one of the same
/// name.
struct SocketFile: Hashable, Sendable {
    let path: Path
    private let inode: UInt64
    private let major: UInt32
    private let minor: UInt32

    fileprivate init(_ path: Path, _ status: FileStatus) {
        self.path = path
        inode = status.inode
        (major, minor) = status.device
    }

    /// The socket that bind(2) has just created at a path. This is not cancelled, because the path is to be removed if
    /// a later step fails. After an error there is no path.
    static func created(at path: Path, _ runtime: IORuntime) async throws(IOError) -> SocketFile {
        let inspection = SocketFileInspection(path)
        let (result, refusal) = await runtime.performToTheEnd(inspection, "statx")
        guard let file = inspection.file else { throw IOError(result: result, "statx", path: path) }
        guard var refusal else { return file }
        await file.remove(runtime)
        refusal.path = path
        throw refusal
    }

    /// Removes the path, if it still names this socket. Never cancelled. Returns why the path may have been left.
    @discardableResult
    func remove(_ runtime: IORuntime) async -> IOError? {
        let (result, _) = await runtime.performToTheEnd(SocketFileRemoval(self), "unlink")
        return result < 0 && result != -ENOENT ? IOError(result: result, "unlink", path: path) : nil
    }
}

/// Finds out the identity of a socket that was just created at a path.
private final class SocketFileInspection: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let path: Path
    /// nil if the call failed.
    private(set) var file: SocketFile?

    init(_ path: Path) {
        self.path = path
        super.init(deadline: .never, isRelease: true)
    }

    override func run() -> Int {
        path.withCString { name in
            var status = ck_statx()
            let result = Kernel.statx(CK_AT_FDCWD, name, CK_AT_SYMLINK_NOFOLLOW, FileStatus.mask, &status)
            if result == 0 {
                file = SocketFile(path, FileStatus(status))
            } else if result != -Int(ENOENT) {
                // The path cannot be recognized later, so it is removed while it is new.
                _ = Kernel.unlinkat(CK_AT_FDCWD, name, 0)
            }
            return result
        }
    }
}

/// Removes a socket's path, if it still names that socket.
private final class SocketFileRemoval: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let file: SocketFile

    init(_ file: SocketFile) {
        self.file = file
        super.init(deadline: .never, isRelease: true)
    }

    override func run() -> Int {
        file.path.withCString { path in
            var status = ck_statx()
            let found = Kernel.statx(CK_AT_FDCWD, path, CK_AT_SYMLINK_NOFOLLOW, FileStatus.mask, &status)
            guard found == 0, SocketFile(file.path, FileStatus(status)) == file else { return min(found, 0) }
            return Kernel.unlinkat(CK_AT_FDCWD, path, 0)
        }
    }
}
