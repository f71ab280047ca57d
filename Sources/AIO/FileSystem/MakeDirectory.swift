internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Creates a directory with these permissions, less the umask.
    ///
    /// `withParents` also creates missing parent directories, and succeeds if the directory exists. A new parent has
    /// the same permissions, and in addition its owner may write and search it, whatever the umask. This is one
    /// operation on a worker; after an error or a cancellation some of the directories may have been created. Kernel
    /// calls: mkdirat(2); for a new parent openat2(2), and fchmodat2(2) if the umask took permissions from the owner.
    ///
    /// - Throws: ``IOError/Code/alreadyExists`` if the name is taken, with `withParents` by something other than a
    ///   directory; ``IOError/Code/notFound`` if the parent does not exist; ``IOError/Code/permissionDenied``;
    ///   ``IOError/Code/noSpace``.
    public static func makeDirectory(
        _ path: Path, permissions: UInt16 = 0o777, withParents: Bool = false, runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) {
        guard withParents else {
            _ = try await runtime.perform("mkdir", path, deadline) {
                .makeDirectory(directory: CK_AT_FDCWD, path: $0, permissions: UInt32(permissions & 0o7777))
            }
            return
        }
        let chain = try DirectoryChain(path, UInt32(permissions & 0o7777), deadline)
        _ = try await runtime.perform(chain, "mkdir", path, deadline)
    }
}

/// A directory and its parents, created from the outermost on.
private final class DirectoryChain: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let path: UnsafeMutablePointer<CChar>
    private let count: Int
    private let permissions: UInt32

    init(_ path: Path, _ permissions: UInt32, _ deadline: Deadline) throws(IOError) {
        self.path = try path.copyCString(for: "mkdir")
        // Trailing slashes have no meaning here.
        count = path.bytes.reversed().drop { $0 == Self.slash }.count
        self.permissions = permissions
        super.init(deadline: deadline.nanoseconds)
    }

    deinit { path.deallocate() }

    private static var slash: UInt8 { UInt8(ascii: "/") }

    override func run() -> Int {
        // Usually all parents exist.
        let result = Kernel.mkdirat(CK_AT_FDCWD, path, permissions)
        if result == -Int(EEXIST) { return existing() }
        guard result == -Int(ENOENT), count > 0 else { return result }
        for index in 1..<count where path[index] == CChar(bitPattern: Self.slash) {
            guard !shouldEnd else { return -Int(ECANCELED) }
            path[index] = 0
            // The owner creates the next directory in it, whatever the umask.
            let result = UsableDirectory.make(path, permissions | 0o300, granting: 0o300)
            path[index] = CChar(bitPattern: Self.slash)
            guard result == 0 || result == -Int(EEXIST) else { return result }
        }
        let last = Kernel.mkdirat(CK_AT_FDCWD, path, permissions)
        return last == -Int(EEXIST) ? existing() : last
    }

    /// An existing directory is a success; anything else with that name is not.
    private func existing() -> Int {
        var status = ck_statx()
        let result = Kernel.statx(CK_AT_FDCWD, path, 0, CK_STATX_TYPE, &status)
        guard result == 0, status.mode & CK_S_IFMT == CK_S_IFDIR else { return -Int(EEXIST) }
        return 0
    }
}

/// A new directory with `permissions`, which the umask does not take from the owner.
final class UsableDirectory: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let path: UnsafeMutablePointer<CChar>
    private let permissions: UInt32

    init(_ path: Path, _ permissions: UInt32, _ deadline: Deadline) throws(IOError) {
        self.path = try path.copyCString(for: "mkdir")
        self.permissions = permissions
        super.init(deadline: deadline.nanoseconds)
    }

    deinit { path.deallocate() }

    override func run() -> Int { Self.make(path, permissions, granting: permissions & 0o700) }

    /// Creates a directory, and adds what the umask took of `least` from the owner. If that fails, the directory is
    /// removed.
    static func make(_ path: UnsafePointer<CChar>, _ permissions: UInt32, granting least: UInt32) -> Int {
        let made = Kernel.mkdirat(CK_AT_FDCWD, path, permissions)
        guard made == 0 else { return made }
        let granted = grantOwner(least, path)
        if granted < 0 { _ = Kernel.unlinkat(CK_AT_FDCWD, path, CK_AT_REMOVEDIR) }
        return granted
    }

    private static func grantOwner(_ least: UInt32, _ path: UnsafePointer<CChar>) -> Int {
        // Others may have replaced the new directory by a link, whose target must not be changed.
        var how = ck_open_how(flags: CK_O_PATH | CK_O_DIRECTORY | CK_O_NOFOLLOW | CK_O_CLOEXEC, mode: 0, resolve: 0)
        let opened = Kernel.openat2(CK_AT_FDCWD, path, &how)
        guard opened >= 0 else { return opened }
        let directory = Int32(opened)
        defer { Kernel.close(directory) }
        return OpenPermissions.grantOwner(least, directory)
    }
}
