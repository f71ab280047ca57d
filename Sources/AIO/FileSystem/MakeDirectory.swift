internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Makes a directory with these permissions, less the umask. Throws `alreadyExists` if the name is taken. mkdirat(2).
    ///
    /// `withParents`: makes those above it that are missing too, and takes a directory that is there for success. That
    /// is one operation on a worker; after an error or a cancel some may have been made.
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

/// A directory and those above it, from the outermost on.
private final class DirectoryChain: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let path: UnsafeMutablePointer<CChar>
    private let count: Int
    private let permissions: UInt32

    init(_ path: Path, _ permissions: UInt32, _ deadline: Deadline) throws(IOError) {
        self.path = try path.copyCString(for: "mkdir")
        // Slashes at the end say nothing here.
        count = path.bytes.reversed().drop { $0 == Self.slash }.count
        self.permissions = permissions
        super.init(deadline: deadline.nanoseconds)
    }

    deinit { path.deallocate() }

    private static var slash: UInt8 { UInt8(ascii: "/") }

    override func run() -> Int {
        // Mostly all but the last are there.
        let result = Kernel.mkdirat(CK_AT_FDCWD, path, permissions)
        if result == -Int(EEXIST) { return existing() }
        guard result == -Int(ENOENT), count > 0 else { return result }
        for index in 1..<count where path[index] == CChar(bitPattern: Self.slash) {
            guard !shouldEnd else { return -Int(ECANCELED) }
            path[index] = 0
            // Their maker must be able to make the next one in it.
            let result = Kernel.mkdirat(CK_AT_FDCWD, path, permissions | 0o300)
            path[index] = CChar(bitPattern: Self.slash)
            guard result == 0 || result == -Int(EEXIST) else { return result }
        }
        let last = Kernel.mkdirat(CK_AT_FDCWD, path, permissions)
        return last == -Int(EEXIST) ? existing() : last
    }

    /// What has the name already is fine if it is a directory.
    private func existing() -> Int {
        var status = ck_statx()
        let result = Kernel.statx(CK_AT_FDCWD, path, 0, CK_STATX_TYPE, &status)
        guard result == 0, status.mode & CK_S_IFMT == CK_S_IFDIR else { return -Int(EEXIST) }
        return 0
    }
}
