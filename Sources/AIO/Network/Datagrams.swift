internal import AIOCore
internal import CKernel

/// The length, completeness and sender of a received datagram.
public struct DatagramInfo: Sendable, Hashable {
    /// The datagram's length in bytes; more than were received if it is truncated.
    public let byteCount: Int
    /// Whether the memory was too small and the end of the datagram is lost.
    public let isTruncated: Bool
    /// The sender's address; nil if it is not known.
    public let sender: SocketAddress?

    /// What ``DatagramSocket/receive(into:deadline:)`` returns, for tests of code that uses it.
    public init(byteCount: Int, isTruncated: Bool, sender: SocketAddress?) {
        self.byteCount = byteCount
        self.isTruncated = isTruncated
        self.sender = sender
    }
}

extension DatagramSocket {
    /// Receives one datagram into the caller's memory; waits if there is none. An empty datagram does not mean the end.
    ///
    /// What does not fit the memory is lost (``DatagramInfo/isTruncated``). The memory is borrowed until the call
    /// returns. After ``IOError/Code/cancelled`` or ``IOError/Code/deadlineExceeded`` no datagram is lost. Kernel
    /// calls: recvmsg(2), and poll(2) in the engine's form to wait.
    ///
    /// - Throws: ``IOError/Code/cancelled``, ``IOError/Code/deadlineExceeded``, ``IOError/Code/fileClosed`` (also if
    ///   the socket is closed during the wait), ``IOError/Code/connectionRefused`` (for an earlier datagram, on a
    ///   socket with a peer), or another error of recvmsg(2).
    public func receive(
        into bytes: inout MutableRawSpan, deadline: Deadline = .never
    ) async throws(IOError) -> DatagramInfo {
        let (base, count) = bytes.withUnsafeMutableBytes { ($0.baseAddress, $0.count) }
        while true {
            if let info = try receiveNow(base, count, deadline) { return info }
            // The wait is a poll: it needs no message header, so nothing is allocated. Another task may receive the
            // datagram first.
            _ = try await handle.perform(.poll(descriptor, events: CK_POLLIN), deadline, "receive")
        }
    }

    /// Receives one datagram into a new array, of which at most `limit` bytes are kept; waits if there is none. The
    /// default is more than a UDP datagram can have.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` for a negative limit, and the errors of ``receive(into:deadline:)``.
    public func receive(
        upTo limit: Int = 65536, deadline: Deadline = .never
    ) async throws(IOError) -> (bytes: [UInt8], info: DatagramInfo) {
        guard limit >= 0 else { throw handle.error(.invalidArgument, "receive", advice: "the limit is negative") }
        // No socket accepts larger datagrams.
        let limit = min(limit, LargeArray.pieceSize)
        var array = [UInt8](unsafeUninitializedCapacity: max(limit, 1)) { _, initialized in initialized = limit }
        var elements = array.mutableSpan
        var bytes = elements.mutableBytes
        let info = try await receive(into: &bytes, deadline: deadline)
        array.removeLast(max(0, limit - info.byteCount))
        return (array, info)
    }

    private func receiveNow(
        _ base: UnsafeMutableRawPointer?, _ count: Int, _ deadline: Deadline
    ) throws(IOError) -> DatagramInfo? {
        try handle.begin("receive", deadline)
        defer { handle.end() }
        var name = ck_socket_address()
        var vector = iovec(iov_base: base, iov_len: count)
        let (result, message) = withUnsafeMutablePointer(to: &name) { name in
            withUnsafeMutablePointer(to: &vector) { vector in
                var message = ck_message()
                message.name = UnsafeMutableRawPointer(name)
                message.name_count = AddressMemory.room
                message.vectors = vector
                message.vector_count = 1
                // MSG_TRUNC returns the full length, also of a datagram that did not fit.
                let result = Kernel.receiveMessage(handle.number, &message, CK_MSG_DONTWAIT | CK_MSG_TRUNC)
                return (result, message)
            }
        }
        if result == -Int(EAGAIN) || result == -Int(EINTR) { return nil }
        guard result >= 0 else { throw handle.error(result: result, "receive") }
        let sender = withUnsafeBytes(of: &name) {
            SocketAddress(memory: $0.baseAddress!, count: message.name_count)
        }
        let isTruncated = message.flags & UInt32(CK_MSG_TRUNC) != 0
        return DatagramInfo(byteCount: result, isTruncated: isTruncated, sender: sender)
    }

    /// Sends a datagram to `address`, or with nil to the socket's peer. Waits if there is no room.
    ///
    /// A datagram is sent as a whole or not at all. The memory is borrowed until the call returns. A return does not
    /// mean that the datagram arrived. After ``IOError/Code/cancelled`` or ``IOError/Code/deadlineExceeded`` nothing
    /// was sent. Kernel calls: sendto(2), sendmsg(2).
    ///
    /// - Throws: ``IOError/Code/messageTooLarge``, ``IOError/Code/notConnected`` without an address and a peer,
    ///   ``IOError/Code/connectionRefused`` (for an earlier datagram; on a Unix-domain socket for this one),
    ///   ``IOError/Code/cancelled``, ``IOError/Code/deadlineExceeded``, ``IOError/Code/fileClosed``, or another error
    ///   of the kernel call.
    public func send(
        _ bytes: RawSpan, to address: SocketAddress? = nil, deadline: Deadline = .never
    ) async throws(IOError) {
        let (base, count) = bytes.withUnsafeBytes { ($0.baseAddress, $0.count) }
        if try sendNow(base, count, address, deadline) { return }
        let message = try SentDatagram(base, count, address)
        _ = try await handle.perform(
            .socket(.sendMessage(descriptor, message.header, flags: 0)), deadline, "send")
    }

    /// Sends an array as one datagram to `address`, or with nil to the socket's peer. Everything else is as for a span:
    /// ``send(_:to:deadline:)-(RawSpan,_,_)``.
    public func send(
        _ bytes: [UInt8], to address: SocketAddress? = nil, deadline: Deadline = .never
    ) async throws(IOError) {
        try await send(bytes.span.bytes, to: address, deadline: deadline)
    }

    private func sendNow(
        _ base: UnsafeRawPointer?, _ count: Int, _ address: SocketAddress?, _ deadline: Deadline
    ) throws(IOError) -> Bool {
        try handle.begin("send", deadline)
        defer { handle.end() }
        var name = ck_socket_address()
        let result = try withUnsafeMutablePointer(to: &name) { name throws(IOError) in
            let nameCount = try address?.store(in: UnsafeMutableRawPointer(name), for: "send") ?? 0
            let flags = CK_MSG_DONTWAIT | CK_MSG_NOSIGNAL
            return Kernel.send(handle.number, base, count, flags, to: nameCount > 0 ? name : nil, nameCount)
        }
        switch result {
        case 0...: return true
        case -Int(EAGAIN), -Int(EINTR): return false
        default:
            var error = handle.error(result: result, "send")
            if let address { error.address = "\(address)" }
            // The errno for a socket without a peer.
            if error.errno?.rawValue == EDESTADDRREQ { error.code = .notConnected }
            throw error
        }
    }
}

/// The arguments of sendmsg(2), at addresses that stay fixed while the send waits for room.
private struct SentDatagram: ~Copyable {
    let header: UnsafeMutablePointer<ck_message>
    private let vector: UnsafeMutablePointer<iovec>
    private let name: UnsafeMutableRawPointer

    init(_ base: UnsafeRawPointer?, _ count: Int, _ address: SocketAddress?) throws(IOError) {
        let room = Int(AddressMemory.room)
        name = .allocate(byteCount: room, alignment: MemoryLayout<ck_socket_address>.alignment)
        name.initializeMemory(as: UInt8.self, repeating: 0, count: room)
        vector = .allocate(capacity: 1)
        // A send only reads through the pointer.
        vector.initialize(to: iovec(iov_base: UnsafeMutableRawPointer(mutating: base), iov_len: count))
        header = .allocate(capacity: 1)
        header.initialize(to: ck_message())
        header.pointee.vectors = vector
        header.pointee.vector_count = 1
        guard let address else { return }
        header.pointee.name = name
        header.pointee.name_count = try address.store(in: name, for: "send")
    }

    deinit {
        header.deallocate()
        vector.deallocate()
        name.deallocate()
    }
}
