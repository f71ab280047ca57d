internal import AIOCore
internal import CKernel

/// What came with a datagram.
public struct DatagramInfo: Sendable, Hashable {
    /// Bytes that it had when it was sent: more than were received if it is truncated.
    public let byteCount: Int
    /// Whether there was no room for its end, which is lost.
    public let isTruncated: Bool
    /// Who sent it; nil if that is not known.
    public let sender: SocketAddress?

    public init(byteCount: Int, isTruncated: Bool, sender: SocketAddress?) {
        self.byteCount = byteCount
        self.isTruncated = isTruncated
        self.sender = sender
    }
}

extension DatagramSocket {
    /// Receives one datagram into the caller's memory; waits if there is none. An empty one is no end.
    ///
    /// The memory is borrowed until this returns. Throws `cancelled` or `deadlineExceeded`, after which no datagram is
    /// lost, `fileClosed`, `connectionRefused` (of something sent before, on a connected socket), or what recvmsg(2) says.
    public func receive(
        into bytes: inout MutableRawSpan, deadline: Deadline = .never
    ) async throws(IOError) -> DatagramInfo {
        let (base, count) = bytes.withUnsafeMutableBytes { ($0.baseAddress, $0.count) }
        while true {
            if let info = try receiveNow(base, count, deadline) { return info }
            // The wait holds no memory of the message's, so that none has to be allocated; another task may be faster.
            _ = try await handle.perform(.poll(descriptor, events: CK_POLLIN), deadline, "receive")
        }
    }

    /// Receives one datagram of `limit` bytes at most into a new array.
    public func receive(
        upTo limit: Int = 65536, deadline: Deadline = .never
    ) async throws(IOError) -> (bytes: [UInt8], info: DatagramInfo) {
        guard limit >= 0 else { throw handle.error(.invalidArgument, "receive", advice: "the limit is negative") }
        // No socket takes larger ones.
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
                // MSG_TRUNC: the whole length is wanted, also of what did not fit.
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

    /// Sends a datagram to `address`, or with nil to where the socket is connected to. Waits if there is no room.
    ///
    /// The memory is borrowed until this returns. That it does says nothing of the datagram's arrival. Throws
    /// `messageTooLarge`, `notConnected`, `connectionRefused` (of an earlier one; for a Unix-domain socket of this one),
    /// `cancelled` or `deadlineExceeded` (nothing was sent then), or what sendto(2) and sendmsg(2) say.
    public func send(
        _ bytes: RawSpan, to address: SocketAddress? = nil, deadline: Deadline = .never
    ) async throws(IOError) {
        let (base, count) = bytes.withUnsafeBytes { ($0.baseAddress, $0.count) }
        if try sendNow(base, count, address, deadline) { return }
        let message = try SentDatagram(base, count, address)
        _ = try await handle.perform(
            .socket(.sendMessage(descriptor, message.header, flags: 0)), deadline, "send")
    }

    /// `send` from an array.
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
            // What the kernel says of a socket that has no default address.
            if error.errno?.rawValue == EDESTADDRREQ { error.code = .notConnected }
            throw error
        }
    }
}

/// What sendmsg(2) reads while it waits for room: memory that stays where it is.
private struct SentDatagram: ~Copyable {
    let header: UnsafeMutablePointer<ck_message>
    private let vector: UnsafeMutablePointer<iovec>
    private let name: UnsafeMutableRawPointer

    init(_ base: UnsafeRawPointer?, _ count: Int, _ address: SocketAddress?) throws(IOError) {
        let room = Int(AddressMemory.room)
        name = .allocate(byteCount: room, alignment: MemoryLayout<ck_socket_address>.alignment)
        name.initializeMemory(as: UInt8.self, repeating: 0, count: room)
        vector = .allocate(capacity: 1)
        // The kernel only reads through it.
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
