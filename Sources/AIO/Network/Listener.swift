public import AIOCore
internal import CKernel
internal import Synchronization

/// A socket that takes connections: TCP, or a Unix-domain socket.
///
/// Several tasks may accept at once. `close` it; one that is dropped unclosed is closed in the background and reported in
/// the log.
public final class Listener: Socket {
    public let runtime: IORuntime
    let handle: StreamHandle
    /// Whether it was said in the log that descriptors have run out, since the last connection.
    let hasReportedLimit = Atomic(false)
    /// The name in a file system that `listen` made, for `close` to take away.
    private let socketFile = Guarded<SocketFile?>(nil)

    init(_ number: Int32, _ address: SocketAddress, _ runtime: IORuntime) {
        self.runtime = runtime
        handle = StreamHandle(Descriptor(number, kind: .stream), "listener", address: address, runtime)
    }

    /// Borrowed, as `Connection.descriptor`.
    public var descriptor: Descriptor { handle.descriptor }

    /// Listens on an address; with port 0 on one that the kernel chooses and `localAddress` tells.
    ///
    /// `backlog` is the most connections that wait to be accepted; the sysctl `net.core.somaxconn` limits it. With
    /// `reuseAddress`, connections of an earlier listener that have ended are not in the way. With `reusePort`, other
    /// listeners that ask for it too may have the address at the same time, and share the connections. `v6Only` false has
    /// an IPv6 listener take IPv4 as well (nil: as the system is set up).
    ///
    /// A path is made as a socket. `close` takes it away again, if it still is that one; a process that is killed leaves it,
    /// and then nobody listens there. With `replaceStale` such a socket is replaced; any other path that is there already is
    /// `addressInUse`, as it is without. Two that replace the same one at once may take it from each other. Throws what
    /// socket(2), bind(2) and listen(2) say, which are the kernel calls.
    public static func listen(
        on address: SocketAddress, backlog: Int = 1024, reuseAddress: Bool = true, reusePort: Bool = false,
        replaceStale: Bool = false, v6Only: Bool? = nil, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> Listener {
        guard let backlog = Int32(exactly: backlog), backlog >= 0 else {
            throw IOError(.invalidArgument, "listen", advice: "the backlog is 0 or more")
        }
        // Non-blocking, so that an accept is tried where the caller stands.
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

    /// Ends the accepts that wait, which throw `fileClosed`, and closes the listener. Connections that were not accepted
    /// are reset. A path that `listen` made is unlinked first, if the socket that it names is still this one. Is not
    /// cancelled. A second close throws `fileClosed`. close(2).
    public func close() async throws(IOError) {
        // First: whoever finds no path may make another.
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
        let made = try await FileSystem.status(of: path, followLinks: false, runtime: runtime, deadline: deadline)
        socketFile.withLock { $0 = SocketFile(path, made) }
    }

    /// Whether a socket is there and nobody listens. Any other file refuses connections too.
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

/// A socket in a file system, told apart from one that has its name later.
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

/// Takes a socket's name away, if it still is that one's.
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
