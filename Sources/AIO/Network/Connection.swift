public import AIOCore
internal import CKernel

/// A stream between two programs: a TCP connection, or one over a Unix-domain socket.
///
/// One task may read while another writes. Several tasks that read, or that write, at once get pieces in no particular
/// order. Each operation that waits takes one of its loop's places for that (`IORuntime.Configuration.waitingLimit`): a
/// program with thousands of connections raises that above the number of them.
///
/// `close` it: that ends what waits on it. One that is dropped unclosed is closed in the background and reported in the
/// log. Reads and writes first try where the caller stands (recv(2) and send(2), which do not wait), and go to a loop of
/// the runtime if they have to wait.
public final class Connection: Socket, ReadableStream, WritableStream {
    public let runtime: IORuntime
    /// The other side, as it was when the connection was made; nil if that is not known.
    public let remoteAddress: SocketAddress?
    let handle: StreamHandle

    init(_ number: Int32, _ remoteAddress: SocketAddress?, _ runtime: IORuntime) {
        self.runtime = runtime
        self.remoteAddress = remoteAddress
        handle = StreamHandle(Descriptor(number, kind: .stream), "connection", address: remoteAddress, runtime)
    }

    /// Takes over a connected socket that was made elsewhere. The connection now closes it.
    public convenience init(adopting number: Int32, runtime: IORuntime = .shared) {
        let memory = AddressMemory()
        let isKnown = Kernel.peerName(number, memory.base, memory.countPointer) == 0
        self.init(number, isKnown ? memory.address : nil, runtime)
    }

    /// For operations on an `IOQueue`, or through `IORuntime.perform`. Borrowed: not to be closed, and not to be used once
    /// the connection is closed.
    public var descriptor: Descriptor { handle.descriptor }

    // MARK: Reading and writing

    /// As `ReadableStream` says. recv(2).
    public func read(
        into bytes: inout MutableRawSpan, deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let (base, count) = bytes.withUnsafeMutableBytes { ($0.baseAddress, $0.count) }
        return try await handle.receive(base, count, deadline)
    }

    /// As `WritableStream` says. send(2) with MSG_NOSIGNAL.
    public func write(_ bytes: RawSpan, deadline: Deadline = .never) async throws(IOError) -> Int {
        let (base, count) = bytes.withUnsafeBytes { ($0.baseAddress, $0.count) }
        return try await handle.send(base, count, deadline)
    }

    /// As `WritableStream` says.
    public func writeAll(_ bytes: RawSpan, deadline: Deadline = .never) async throws(IOError) {
        let (base, count) = bytes.withUnsafeBytes { ($0.baseAddress, $0.count) }
        var done = 0
        while done < count { done += try await handle.send(base.map { $0 + done }, count - done, deadline) }
    }

    // MARK: Ending

    /// Tells the other side that nothing more comes: once it has read everything, its reads return zero. What it writes
    /// can still be read here; writes here fail with `brokenPipe`. Does not wait. Throws `notConnected` if the connection
    /// is gone already. shutdown(2) with SHUT_WR.
    public func shutdownWrite() throws(IOError) {
        _ = try handle.call("shutdown") { Kernel.shutdown($0, CK_SHUT_WR) }
    }

    /// Reads what has come, and then finds the end, whatever the other side sends: for who has heard enough and still has
    /// something to say. Ends a read that waits. Does not wait. Throws as `shutdownWrite`. shutdown(2) with SHUT_RD.
    public func shutdownRead() throws(IOError) {
        _ = try handle.call("shutdown") { Kernel.shutdown($0, CK_SHUT_RD) }
    }

    /// Ends the operations that wait on this connection, which throw `fileClosed`, and closes it when the last of them
    /// has ended. What was written is still delivered, if this side has read everything that came; if it has not, the
    /// other side may see the connection reset. Is not cancelled. A second close throws `fileClosed`. close(2).
    public func close() async throws(IOError) { try await handle.close() }
}

extension Connection {
    /// Two connections, each the other side of the other, in this process: socketpair(2).
    public static func pair(runtime: IORuntime = .shared) throws(IOError) -> (Connection, Connection) {
        try runtime.check("socketpair")
        var pair: (Int32, Int32) = (-1, -1)
        let result = Kernel.socketPair(CK_AF_UNIX, CK_SOCK_STREAM | CK_SOCK_CLOEXEC, 0, &pair)
        guard result >= 0 else { throw IOError(result: Int32(truncatingIfNeeded: result), "socketpair") }
        return (Connection(pair.0, .unnamed, runtime), Connection(pair.1, .unnamed, runtime))
    }
}
