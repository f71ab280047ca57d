public import AIOCore
internal import CKernel

/// A byte stream between two programs: a TCP connection, or a Unix-domain socket.
///
/// One task may read while another writes. If several tasks read, or several write, each gets or sends pieces in no
/// particular order. Each operation that waits takes one of its loop's slots for waits
/// (``IORuntime/Configuration/waitingLimit``); a program with thousands of connections sets this limit above their
/// number.
///
/// Reads and writes are attempted on the calling thread with recv(2) and send(2), without blocking, and go to a loop of
/// the runtime if they have to wait. Close a connection with ``close()``, which ends the operations that wait on it. A
/// connection that is dropped without a close is closed in the background and reported in the log.
public final class Connection: Socket, ReadableStream, WritableStream {
    /// The runtime that carries out the connection's operations.
    public let runtime: IORuntime
    /// The peer's address when the connection was made; nil if it is not known.
    public let remoteAddress: SocketAddress?
    let handle: StreamHandle

    init(_ number: Int32, _ remoteAddress: SocketAddress?, _ runtime: IORuntime) {
        self.runtime = runtime
        self.remoteAddress = remoteAddress
        handle = StreamHandle(Descriptor(number, kind: .stream), "connection", address: remoteAddress, runtime)
    }

    /// Takes ownership of the descriptor of a connected socket. ``close()`` closes it. Kernel call: getpeername(2).
    public convenience init(adopting number: Int32, runtime: IORuntime = .shared) {
        let memory = AddressMemory()
        let isKnown = Kernel.peerName(number, memory.base, memory.countPointer) == 0
        self.init(number, isKnown ? memory.address : nil, runtime)
    }

    /// For operations on an ``IOQueue``, or through ``IORuntime/perform(_:deadline:)``. Borrowed: do not close it, and
    /// do not use it after the connection is closed.
    public var descriptor: Descriptor { handle.descriptor }

    // MARK: Reading and writing

    /// Reads the bytes that have arrived into the caller's memory; waits if there are none.
    ///
    /// Returns the number of bytes read: at least 1, and usually less than the size of the memory; 0 when the peer has
    /// shut down its writing, or if the memory is empty. The memory is borrowed until the call returns, also after a
    /// cancellation. A cancelled read has taken nothing from the connection. Kernel call: recv(2).
    ///
    /// - Throws: ``IOError/Code/connectionReset``, ``IOError/Code/timedOut`` if the peer did not answer within the
    ///   kernel's limits, ``IOError/Code/fileClosed`` (also if the connection is closed during the wait),
    ///   ``IOError/Code/cancelled``, ``IOError/Code/deadlineExceeded``, or another error of recv(2).
    public func read(
        into bytes: inout MutableRawSpan, deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let (base, count) = bytes.withUnsafeMutableBytes { ($0.baseAddress, $0.count) }
        return try await handle.receive(base, count, deadline)
    }

    /// Writes from the caller's memory; waits if there is no room.
    ///
    /// Returns the number of bytes written: at least 1 unless the memory is empty, and possibly less than its size. The
    /// kernel has accepted these bytes; their arrival is not confirmed. The memory is borrowed until the call returns,
    /// also after a cancellation. A cancelled write has written nothing. Kernel call: send(2) with MSG_NOSIGNAL.
    ///
    /// - Throws: ``IOError/Code/brokenPipe`` if the peer no longer reads, ``IOError/Code/connectionReset``,
    ///   ``IOError/Code/timedOut``, ``IOError/Code/fileClosed`` (also if the connection is closed during the wait),
    ///   ``IOError/Code/cancelled``, ``IOError/Code/deadlineExceeded``, or another error of send(2).
    public func write(_ bytes: RawSpan, deadline: Deadline = .never) async throws(IOError) -> Int {
        let (base, count) = bytes.withUnsafeBytes { ($0.baseAddress, $0.count) }
        return try await handle.send(base, count, deadline)
    }

    /// Writes all of the caller's memory; a short write is continued, waiting for room as often as needed.
    ///
    /// After an error or a cancellation, part of it may be written; the error does not tell how much. The memory is
    /// borrowed until the call returns. Kernel call: send(2) with MSG_NOSIGNAL, as often as needed.
    ///
    /// - Throws: the errors of ``write(_:deadline:)-(RawSpan,_)``.
    public func writeAll(_ bytes: RawSpan, deadline: Deadline = .never) async throws(IOError) {
        let (base, count) = bytes.withUnsafeBytes { ($0.baseAddress, $0.count) }
        var done = 0
        while done < count { done += try await handle.send(base.map { $0 + done }, count - done, deadline) }
    }

    // MARK: Shutdown and close

    /// Half-close: tells the peer that no more data follows. The peer's reads return 0 after it has read everything.
    /// Its own data can still be read here; writes here fail with ``IOError/Code/brokenPipe``. Does not wait. Kernel
    /// call: shutdown(2) with SHUT_WR.
    ///
    /// - Throws: ``IOError/Code/notConnected`` if the connection no longer exists; ``IOError/Code/fileClosed``.
    public func shutdownWrite() throws(IOError) {
        _ = try handle.call("shutdown") { Kernel.shutdown($0, CK_SHUT_WR) }
    }

    /// Stops receiving: reads return what has already arrived and then 0. A read that waits returns 0. Writes are still
    /// possible. Does not wait. Kernel call: shutdown(2) with SHUT_RD.
    ///
    /// - Throws: ``IOError/Code/notConnected`` if the connection no longer exists; ``IOError/Code/fileClosed``.
    public func shutdownRead() throws(IOError) {
        _ = try handle.call("shutdown") { Kernel.shutdown($0, CK_SHUT_RD) }
    }

    /// Ends the operations that wait on this connection, which throw ``IOError/Code/fileClosed``, and closes it when
    /// the last of them has ended.
    ///
    /// Written data is still delivered if this side has read everything that arrived; otherwise the peer may see the
    /// connection reset. A close is never cancelled. Kernel call: close(2).
    ///
    /// - Throws: ``IOError/Code/fileClosed`` if it is closed already.
    public func close() async throws(IOError) { try await handle.close() }
}

extension Connection {
    /// Creates two connected Unix-domain stream sockets, both close-on-exec. Does not wait. Kernel call: socketpair(2).
    ///
    /// - Throws: ``IOError/Code/tooManyOpenFiles``, or another error of socketpair(2).
    public static func pair(runtime: IORuntime = .shared) throws(IOError) -> (Connection, Connection) {
        try runtime.check("socketpair")
        var pair: (Int32, Int32) = (-1, -1)
        let result = Kernel.socketPair(CK_AF_UNIX, CK_SOCK_STREAM | CK_SOCK_CLOEXEC, 0, &pair)
        guard result >= 0 else { throw IOError(result: Int32(truncatingIfNeeded: result), "socketpair") }
        return (Connection(pair.0, .unnamed, runtime), Connection(pair.1, .unnamed, runtime))
    }
}
