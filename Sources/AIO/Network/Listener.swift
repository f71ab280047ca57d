public import AIOCore
internal import CKernel
internal import Synchronization

/// A socket that accepts connections: TCP or Unix-domain.
///
/// Several tasks may accept concurrently. Close a listener with ``close()``; one that is dropped without a close is
/// closed in the background and reported in the log.
public final class Listener: Socket {
    public let runtime: IORuntime
    let handle: StreamHandle
    /// Whether the log has reported the shortage of descriptors since the last accepted connection.
    let hasReportedLimit = Atomic(false)
    /// The path that `listen` created, which `close` removes.
    private let socketFile = Guarded<SocketFile?>(nil)

    init(_ number: Int32, _ address: SocketAddress, _ runtime: IORuntime) {
        self.runtime = runtime
        handle = StreamHandle(Descriptor(number, kind: .stream), "listener", address: address, runtime)
    }

    /// Borrowed, as `Connection.descriptor`.
    public var descriptor: Descriptor { handle.descriptor }

    /// Listens on an address. With port 0 the kernel chooses the port, which ``localAddress()`` returns.
    ///
    /// - `backlog`: the maximum number of connections that wait to be accepted; the sysctl `net.core.somaxconn` limits
    ///   it.
    /// - `reuseAddress`: ended connections of an earlier listener do not block the address.
    /// - `reusePort`: listeners that all set it share the address and its connections.
    /// - `v6Only`: if false, an IPv6 listener also accepts IPv4; nil is the system's default.
    /// - `replaceStale`: replaces a Unix-domain socket on which nobody listens. Any other existing path is
    ///   `addressInUse`, as it is without the option. Two processes that replace the same socket at once may take it
    ///   from each other.
    ///
    /// A Unix-domain path is created as a socket. `close` removes it if it still is that socket; a process that is
    /// killed leaves it behind, and connecting to it is then refused. Kernel calls: socket(2), bind(2), listen(2),
    /// whose errors are thrown.
    public static func listen(
        on address: SocketAddress, backlog: Int = 1024, reuseAddress: Bool = true, reusePort: Bool = false,
        replaceStale: Bool = false, v6Only: Bool? = nil, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> Listener {
        guard let backlog = Int32(exactly: backlog), backlog >= 0 else {
            throw IOError(.invalidArgument, "listen", advice: "the backlog is 0 or more")
        }
        // O_NONBLOCK, because an accept is attempted on the calling thread.
        let number = try SocketSetup.make(address, CK_SOCK_STREAM | CK_SOCK_NONBLOCK, runtime, "listen")
        let listener = Listener(number, address, runtime)
        do throws(IOError) {
            if address.port != nil {
                if reuseAddress { try listener.setOption(.reuseAddress, to: true) }
                if reusePort { try listener.setOption(.reusePort, to: true) }
            }
            if let v6Only, case .v6 = address { try listener.setOption(.v6Only, to: v6Only) }
            try await listener.bind(address, replaceStale: replaceStale, deadline)
            _ = try listener.handle.call("listen") { Kernel.listen($0, backlog) }
            return listener
        } catch {
            listener.handle.abandon()
            await listener.removeSocketFile()
            throw error
        }
    }

    /// Ends the accepts that wait, which throw `fileClosed`, and closes the listener. Connections that were not
    /// accepted are reset.
    ///
    /// A path that `listen` created is unlinked first, if it still names this socket. A close is never cancelled. A
    /// second close throws `fileClosed`. Kernel call: close(2).
    public func close() async throws(IOError) {
        // First, because another process that finds the path free may create its own.
        await removeSocketFile()
        try await handle.close()
    }

    // MARK: Names in a file system

    private func bind(
        _ address: SocketAddress, replaceStale: Bool, _ deadline: Deadline
    ) async throws(IOError) {
        guard case .unix(let path) = address else {
            return try await SocketSetup.bind(handle, address, deadline)
        }
        do throws(IOError) { try await SocketSetup.bind(handle, address, deadline) } catch {
            guard replaceStale, error.code == .addressInUse, await isStale(address, deadline) else { throw error }
            try await FileSystem.unlink(path, runtime: runtime, deadline: deadline)
            try await SocketSetup.bind(handle, address, deadline)
        }
        try await noteSocketFile(path)
    }

    /// Notes the socket that bind(2) has just created. This is not cancelled, because the path is to be removed if a
    /// later step fails.
    private func noteSocketFile(_ path: Path) async throws(IOError) {
        let inspection = SocketFileInspection(path)
        let (result, refusal) = await runtime.performToTheEnd(inspection, "statx")
        socketFile.withLock { $0 = inspection.file }
        if var refusal {
            refusal.path = path
            throw refusal
        }
        guard result >= 0 else { throw IOError(result: result, "statx", path: path) }
    }

    /// Whether the path is a socket on which nobody listens. A connect to any other file is refused as well, so the
    /// type is checked.
    private func isStale(_ address: SocketAddress, _ deadline: Deadline) async -> Bool {
        guard case .unix(let path) = address,
            let there = try? await FileSystem.status(
                of: path, followLinks: false, runtime: runtime, deadline: deadline),
            there.mode & CK_S_IFMT == CK_S_IFSOCK
        else { return false }
        do throws(IOError) {
            try await Connection.connect(to: address, runtime: runtime, deadline: deadline).close()
            return false
        } catch {
            return error.code == .connectionRefused
        }
    }

    private func removeSocketFile() async {
        let made = socketFile.withLock { file in
            defer { file = nil }
            return file
        }
        guard let made else { return }
        await runtime.performToTheEnd(SocketFileRemoval(made), "unlink")
    }

    public func localAddress() throws(IOError) -> SocketAddress { try handle.localAddress() }
    public func rawOption(level: Int32, name: Int32, capacity: Int = 4) throws(IOError) -> [UInt8] {
        try handle.rawOption(level, name, capacity)
    }
    public func setRawOption(level: Int32, name: Int32, to bytes: [UInt8]) throws(IOError) {
        try handle.setRawOption(level, name, bytes)
    }
}

/// The identity of a socket in a file system, which distinguishes it from a later one of the same name.
struct SocketFile: Hashable, Sendable {
    let path: Path
    private let inode: UInt64
    private let major: UInt32
    private let minor: UInt32

    init(_ path: Path, _ status: FileStatus) {
        self.path = path
        inode = status.inode
        (major, minor) = status.device
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
