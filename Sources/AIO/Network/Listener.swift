public import AIOCore
internal import CKernel
internal import Synchronization

/// A socket that accepts connections: TCP or Unix-domain.
///
/// Several tasks may accept concurrently. Close a listener with ``close()``; one that is dropped without a close is
/// closed in the background and reported in the log.
public final class Listener: Socket {
    /// The runtime that carries out the listener's operations; accepted connections belong to it as well.
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

    /// For operations on an ``IOQueue``, or through ``IORuntime/perform(_:deadline:)``. Borrowed: do not close it, and
    /// do not use it after the listener is closed.
    public var descriptor: Descriptor { handle.descriptor }

    /// Listens on an address. With port 0 the kernel chooses the port, which ``localAddress()`` returns.
    ///
    /// - `backlog`: the maximum number of connections that wait to be accepted; the sysctl `net.core.somaxconn` limits
    ///   it.
    /// - `reuseAddress`: ended connections of an earlier listener do not block the address.
    /// - `reusePort`: listeners that all set it share the address and its connections.
    /// - `v6Only`: if false, an IPv6 listener also accepts IPv4; nil is the system's default.
    /// - `replaceStale`: replaces a Unix-domain socket on which nobody listens. Any other existing path is
    ///   ``IOError/Code/addressInUse``, as it is without the option. Two processes that replace the same socket at once
    ///   may take it from each other.
    ///
    /// A Unix-domain path is created as a socket. ``close()`` removes it if it still is that socket; a process that is
    /// killed leaves it behind, and connecting to it is then refused. Kernel calls: socket(2), bind(2), listen(2).
    ///
    /// - Throws: ``IOError/Code/addressInUse``, ``IOError/Code/addressNotAvailable``, ``IOError/Code/permissionDenied``
    ///   for a port below 1024, ``IOError/Code/invalidArgument`` for a negative backlog, ``IOError/Code/cancelled``,
    ///   ``IOError/Code/deadlineExceeded``, or another error of a kernel call. After an error there is no socket file.
    public static func listen(
        on address: SocketAddress, backlog: Int = 1024, reuseAddress: Bool = true, reusePort: Bool = false,
        replaceStale: Bool = false, v6Only: Bool? = nil, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> Listener {
        guard let backlog = Int32(exactly: backlog), backlog >= 0 else {
            throw IOError(.invalidArgument, "listen", advice: "the backlog must be 0 or more")
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

    /// Ends the accepts that wait, which throw ``IOError/Code/fileClosed``, and closes the listener. Connections that
    /// were not accepted are reset.
    ///
    /// A path that the listener created is unlinked first, if it still names this socket. A close is never cancelled.
    /// Kernel calls: unlink(2), close(2).
    ///
    /// - Throws: ``IOError/Code/fileClosed`` if it is closed already; the error of unlink(2), if the path is left: the
    ///   listener is closed all the same.
    public func close() async throws(IOError) {
        // First, because another process that finds the path free may create its own.
        let refusal = await removeSocketFile()
        try await handle.close()
        if let refusal { throw refusal }
    }

    // MARK: Names in a file system

    private func bind(
        _ address: SocketAddress, replaceStale: Bool, _ deadline: Deadline
    ) async throws(IOError) {
        let made: SocketFile?
        do throws(IOError) { made = try await SocketSetup.bind(handle, address, deadline) } catch {
            guard case .unix(let path) = address, replaceStale, error.code == .addressInUse,
                try await isStale(address, deadline)
            else { throw error }
            try await FileSystem.unlink(path, runtime: runtime, deadline: deadline)
            made = try await SocketSetup.bind(handle, address, deadline)
        }
        socketFile.withLock { $0 = made }
    }

    /// Whether the path is a socket on which nobody listens. A connect to any other file is refused as well, so the
    /// type is checked. Throws if the kernel does not tell, for want of descriptors for example.
    private func isStale(_ address: SocketAddress, _ deadline: Deadline) async throws(IOError) -> Bool {
        guard case .unix(let path) = address,
            try await FileSystem.status(of: path, followLinks: false, runtime: runtime, deadline: deadline).mode
                & CK_S_IFMT == CK_S_IFSOCK
        else { return false }
        let connection: Connection
        do throws(IOError) {
            connection = try await Connection.connect(to: address, runtime: runtime, deadline: deadline)
        } catch {
            switch error.errno?.rawValue {
            case ECONNREFUSED?: return true
            // Somebody has a full backlog, a socket of another type, or one that is not for the caller.
            case EAGAIN?, EPROTOTYPE?, EACCES?, EPERM?: return false
            default: throw error
            }
        }
        try await connection.close()
        return false
    }

    @discardableResult
    private func removeSocketFile() async -> IOError? {
        let made = socketFile.withLock { file in
            defer { file = nil }
            return file
        }
        return await made?.remove(runtime)
    }

    /// The local address, including the port or name that the kernel chose. Kernel call: getsockname(2).
    public func localAddress() throws(IOError) -> SocketAddress { try handle.localAddress() }
    /// The value of an option, at most `capacity` bytes of it. Kernel call: getsockopt(2).
    public func rawOption(level: Int32, name: Int32, capacity: Int = 4) throws(IOError) -> [UInt8] {
        try handle.rawOption(level, name, capacity)
    }
    /// Sets an option to these bytes. Kernel call: setsockopt(2).
    public func setRawOption(level: Int32, name: Int32, to bytes: [UInt8]) throws(IOError) {
        try handle.setRawOption(level, name, bytes)
    }
}
