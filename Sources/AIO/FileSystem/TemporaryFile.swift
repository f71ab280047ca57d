internal import AIOCore
internal import CKernel

extension File {
    /// Opens a new file without a name in `directory`, by default in ``FileSystem/temporaryDirectory``. The file is
    /// gone when it is closed or the process ends, unless ``link(to:deadline:)`` gives it a name. It is open for
    /// reading and writing, with `permissions` less the umask. Kernel call: openat2(2) with O_TMPFILE.
    ///
    /// - Throws: ``IOError/Code/notSupported`` if the file system cannot create such files; otherwise the errors of
    ///   ``open(_:_:options:permissions:runtime:deadline:)``.
    public static func temporary(
        in directory: Path? = nil, permissions: UInt16 = 0o600, runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) -> File {
        let directory = directory ?? FileSystem.temporaryDirectory
        let request = try OpenRequest(directory, .readWrite, CK_O_TMPFILE | CK_O_DIRECTORY, permissions)
        return try await open(request, in: CK_AT_FDCWD, directory, runtime, deadline)
    }

    /// Gives the file a name on its file system; a temporary file gets its first. The call never replaces a file. The
    /// name is durable only after a sync of its directory. Kernel call: linkat(2) through /proc/thread-self/fd, or
    /// without /proc with AT_EMPTY_PATH, which requires privileges.
    ///
    /// - Throws: ``IOError/Code/alreadyExists`` if the name is taken; ``IOError/Code/notFound`` if its directory does
    ///   not exist, or if the file has no name any more and is not temporary; `EXDEV` (``IOError/errno``) for another
    ///   file system.
    public func link(to path: Path, deadline: Deadline = .never) async throws(IOError) {
        do throws(IOError) {
            let open = Path("/proc/thread-self/fd/\(descriptor.number)")
            try await link(from: open, CK_AT_FDCWD, CK_AT_SYMLINK_FOLLOW, to: path, deadline)
        } catch {
            guard error.code == .notFound else { throw error }
            try await link(from: "", descriptor.number, CK_AT_EMPTY_PATH, to: path, deadline)
        }
    }

    private func link(
        from source: Path, _ directory: Int32, _ flags: Int32, to path: Path, _ deadline: Deadline
    ) async throws(IOError) {
        try begin("link", deadline)
        defer { lease.end() }
        let memory = try path.copyCString(for: "link")
        let sourceMemory = source.copyCString()
        defer {
            memory.deallocate()
            sourceMemory.deallocate()
        }
        let operation = Operation.link(
            directory: directory, path: sourceMemory, newDirectory: CK_AT_FDCWD, newPath: memory, flags: flags)
        _ = try await runtime.perform(operation, deadline.nanoseconds, "link", path)
    }
}
