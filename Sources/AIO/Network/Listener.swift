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
    /// A path is made as a socket, and stays when the listener is closed: whoever made it unlinks it
    /// (`FileSystem.unlink`); a path that is there already is `addressInUse`. Throws what socket(2), bind(2) and listen(2)
    /// say, which are the kernel calls.
    public static func listen(
        on address: SocketAddress, backlog: Int = 1024, reuseAddress: Bool = true, reusePort: Bool = false,
        v6Only: Bool? = nil, runtime: IORuntime = .shared, deadline: Deadline = .never
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
            try await SocketSetup.bind(listener.handle, address, deadline)
            _ = try listener.handle.call("listen") { Kernel.listen($0, backlog) }
            return listener
        } catch {
            listener.handle.abandon()
            throw error
        }
    }

    /// Ends the accepts that wait, which throw `fileClosed`, and closes the listener. Connections that were not accepted
    /// are reset. Is not cancelled. A second close throws `fileClosed`. close(2).
    public func close() async throws(IOError) { try await handle.close() }

    public func localAddress() throws(IOError) -> SocketAddress { try handle.localAddress() }
    public func rawOption(level: Int32, name: Int32, capacity: Int = 4) throws(IOError) -> [UInt8] {
        try handle.rawOption(level, name, capacity)
    }
    public func setRawOption(level: Int32, name: Int32, to bytes: [UInt8]) throws(IOError) {
        try handle.setRawOption(level, name, bytes)
    }
}
