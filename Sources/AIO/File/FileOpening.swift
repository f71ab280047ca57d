internal import AIOCore
internal import CKernel

extension File {
    /// Opens a file. `permissions`, less the umask, apply to a file that the call creates.
    ///
    /// The open of a FIFO waits for its other end, unless `options` has ``OpenOptions/nonBlocking``. After
    /// ``IOError/Code/cancelled`` or ``IOError/Code/deadlineExceeded`` no file is open, but one may have been created.
    /// Kernel call: openat2(2).
    ///
    /// - Throws: ``IOError/Code/notFound``, ``IOError/Code/alreadyExists`` (with ``OpenOptions/exclusive``),
    ///   ``IOError/Code/permissionDenied``, ``IOError/Code/isDirectory`` for writing to a directory,
    ///   ``IOError/Code/notDirectory``, ``IOError/Code/tooManyOpenFiles``, ``IOError/Code/cancelled``,
    ///   ``IOError/Code/deadlineExceeded``, or another error of openat2(2).
    public static func open(
        _ path: Path, _ access: Access = .read, options: OpenOptions = [], permissions: UInt16 = 0o644,
        runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> File {
        let request = try OpenRequest(path, access, options.rawValue, permissions)
        return try await open(request, in: CK_AT_FDCWD, path, runtime, deadline)
    }

    /// Restrictions on path resolution: the RESOLVE flags of openat2(2).
    public struct Confinement: OptionSet, Sendable {
        public let rawValue: UInt64
        public init(rawValue: UInt64) { self.rawValue = rawValue }

        /// The path must stay below the directory. An absolute path fails with `EXDEV` (``IOError/errno``), and so does
        /// a `..` or a symbolic link that leads out of the directory.
        public static let beneath = Confinement(rawValue: CK_RESOLVE_BENEATH)
        /// The directory is the root: absolute paths and absolute links start there, and `..` does not lead above it.
        public static let inRoot = Confinement(rawValue: CK_RESOLVE_IN_ROOT)
        /// A symbolic link in any component of the path fails with `ELOOP` (``IOError/errno``), not only in the last.
        public static let noSymbolicLinks = Confinement(rawValue: CK_RESOLVE_NO_SYMLINKS)
        /// A magic link (in /proc, a link that leads to an open file without a path lookup) fails with `ELOOP`
        /// (``IOError/errno``).
        public static let noMagicLinks = Confinement(rawValue: CK_RESOLVE_NO_MAGICLINKS)
        /// A mount point in the path fails with `EXDEV` (``IOError/errno``).
        public static let sameFileSystem = Confinement(rawValue: CK_RESOLVE_NO_XDEV)
    }

    /// Opens a file by a path relative to `directory`, which was opened with ``OpenOptions/directory``. The path must
    /// stay below the directory unless `confinement` says otherwise.
    ///
    /// The directory is in use until the call returns, so closing it waits. The file belongs to the directory's
    /// runtime. `permissions`, less the umask, apply to a file that the call creates. Kernel call: openat2(2), repeated
    /// while concurrent renames keep it from checking the path.
    ///
    /// - Throws: `EXDEV` or `ELOOP` (``IOError/errno``) for what `confinement` forbids, ``IOError/Code/fileClosed`` if
    ///   the directory is closed, and the errors of ``open(_:_:options:permissions:runtime:deadline:)``.
    public static func open(
        _ path: Path, in directory: File, confinement: Confinement = .beneath, _ access: Access = .read,
        options: OpenOptions = [], permissions: UInt16 = 0o644, deadline: Deadline = .never
    ) async throws(IOError) -> File {
        let request = try OpenRequest(path, access, options.rawValue, permissions, resolve: confinement.rawValue)
        try directory.begin("open", deadline)
        defer { directory.lease.end() }
        // openat2(2) fails with EAGAIN if a concurrent rename or mount kept the kernel from checking that a `..` stays
        // below the directory. A rename anywhere in the system can be in the way, but hardly 64 times in a row.
        for _ in 0..<64 {
            do throws(IOError) {
                return try await open(request, in: directory.descriptor.number, path, directory.runtime, deadline)
            } catch {
                guard error.code == .wouldBlock else { throw error }
                await Task.yield()
            }
        }
        return try await open(request, in: directory.descriptor.number, path, directory.runtime, deadline)
    }

    static func open(
        _ request: borrowing OpenRequest, in directory: Int32, _ path: Path, _ runtime: IORuntime, _ deadline: Deadline
    ) async throws(IOError) -> File {
        if request.isOfExistingForReading, let file = try openNow(request, in: directory, path, runtime, deadline) {
            return file
        }
        let completion = try await runtime.perform(
            request.operation(in: directory), deadline.nanoseconds, "open", path)
        return try adopt(completion.result, "open", path, runtime)
    }

    /// Opens the file on the calling thread, if that need not wait.
    private static func openNow(
        _ request: borrowing OpenRequest, in directory: Int32, _ path: Path, _ runtime: IORuntime, _ deadline: Deadline
    ) throws(IOError) -> File? {
        let opened = try runtime.attempted("open", path, deadline) { request.attempt(in: directory) }
        return opened.map { File($0.descriptor, path: path, closesHere: true, runtime: runtime) }
    }

    /// Takes over a descriptor that was just opened. Closes it if the kernel does not tell what it is: every way
    /// through a file depends on that.
    static func adopt(
        _ number: Int32, _ operation: String, _ path: Path, _ runtime: IORuntime
    ) throws(IOError) -> File {
        var errno: Int32 = 0
        let descriptor = Descriptor.classify(number, errno: &errno)
        guard errno == 0 else {
            Kernel.close(number)
            throw IOError(result: -errno, operation, path: path)
        }
        return File(descriptor, path: path, runtime: runtime)
    }
}

/// The arguments of openat2(2), at addresses that stay fixed while an open is in flight.
struct OpenRequest: ~Copyable {
    private let path: UnsafeMutablePointer<CChar>
    private let how: UnsafeMutablePointer<ck_open_how>

    init(
        _ path: Path, _ access: File.Access, _ flags: UInt64, _ permissions: UInt16, resolve: UInt64 = 0
    ) throws(IOError) {
        self.path = try path.copyCString(for: "open")
        how = .allocate(capacity: 1)
        // openat2(2) fails with EINVAL if a mode is given and no file is created.
        let isMade = flags & (CK_O_CREAT | CK_O_TMPFILE) != 0
        how.initialize(
            to: ck_open_how(
                flags: access.flags | flags | CK_O_CLOEXEC | CK_O_NOCTTY,
                mode: isMade ? UInt64(permissions & 0o7777) : 0, resolve: resolve))
    }

    deinit {
        path.deallocate()
        how.deallocate()
    }

    /// Whether the open has no effect but the descriptor.
    var isOfExistingForReading: Bool {
        how.pointee.flags & (CK_O_CREAT | CK_O_TMPFILE | CK_O_TRUNC | CK_O_ACCMODE) == CK_O_RDONLY
    }

    func attempt(in directory: Int32) -> CachedLookup.Answer<CachedLookup.OpenedFile> {
        CachedLookup.open(directory, path, how.pointee)
    }

    func operation(in directory: Int32) -> Operation {
        .open(directory: directory, path: UnsafePointer(path), how: UnsafePointer(how))
    }
}

extension File.Access {
    var flags: UInt64 {
        switch self {
        case .read: CK_O_RDONLY
        case .write: CK_O_WRONLY
        case .readWrite: CK_O_RDWR
        }
    }
}
