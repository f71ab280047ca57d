internal import AIOCore
internal import CKernel

extension SimulatedKernel {
    func answerSocketCall(_ call: SystemCall) -> Int? {
        switch call.number {
        case Int(CK_NR_socket): makeSocket(call)
        case Int(CK_NR_socketpair): makePair(call)
        case Int(CK_NR_bind): with(call) { socket in Self.named(call.b, call.c) { socket.bind($0) } }
        case Int(CK_NR_connect): with(call) { socket in Self.named(call.b, call.c) { socket.connect($0) } }
        case Int(CK_NR_listen): with(call) { $0.listen(call.b) }
        case Int(CK_NR_accept4): accept(call)
        case Int(CK_NR_shutdown):
            with(call) { socket in
                guard (0...2).contains(call.b) else { return -Int(EINVAL) }
                return socket.shutdown(receiving: call.b != Int(CK_SHUT_WR), sending: call.b != Int(CK_SHUT_RD))
            }
        case Int(CK_NR_getsockname): with(call) { Self.store($0.localName, call.b, call.c) }
        case Int(CK_NR_getpeername):
            with(call) { socket in socket.peerName.map { Self.store($0, call.b, call.c) } ?? -Int(ENOTCONN) }
        case Int(CK_NR_getsockopt): with(call) { $0.getOption(call) }
        case Int(CK_NR_setsockopt): with(call) { $0.setOption(call) }
        case Int(CK_NR_sendto): send(call)
        case Int(CK_NR_recvfrom): receive(call)
        case Int(CK_NR_sendmsg): sendMessage(call)
        case Int(CK_NR_recvmsg): receiveMessage(call)
        default: nil
        }
    }

    private func with(_ call: SystemCall, _ body: (SocketDescription) -> Int) -> Int {
        guard let open = descriptors[call.a] else { return -Int(EBADF) }
        guard let socket = open as? SocketDescription else { return -Int(ENOTSOCK) }
        return body(socket)
    }

    // MARK: Creation

    private static let typeFlags = Int(CK_SOCK_CLOEXEC | CK_SOCK_NONBLOCK)

    /// socket(2).
    private func makeSocket(_ call: SystemCall) -> Int {
        let result = newSocket(call)
        guard let socket = result.socket else { return result.result }
        return descriptors.add(socket, closesOnExec: call.b & Int(CK_SOCK_CLOEXEC) != 0)
    }

    private func newSocket(_ call: SystemCall) -> (result: Int, socket: SocketDescription?) {
        let type = Int32(truncatingIfNeeded: call.b & ~Self.typeFlags)
        guard (0..<11).contains(type) else { return (-Int(EINVAL), nil) }
        let flags = UInt64(call.b & Int(CK_SOCK_NONBLOCK))
        let domain = Int32(truncatingIfNeeded: call.a)
        switch domain {
        case CK_AF_UNIX:
            guard call.c == 0 || call.c == 1 else { return (-Int(EPROTONOSUPPORT), nil) }
            guard [CK_SOCK_STREAM, CK_SOCK_DGRAM, CK_SOCK_SEQPACKET].contains(type) else {
                return (-Int(ESOCKTNOSUPPORT), nil)
            }
            return (0, UnixSocket(self, type: type, flags: flags))
        case CK_AF_INET, CK_AF_INET6:
            switch (type, call.c) {
            case (CK_SOCK_STREAM, 0), (CK_SOCK_STREAM, 6):
                return (0, TCPSocket(self, domain: domain, type: type, protocolNumber: 6, flags: flags))
            case (CK_SOCK_DGRAM, 0), (CK_SOCK_DGRAM, 17):
                return (0, UDPSocket(self, domain: domain, type: type, protocolNumber: 17, flags: flags))
            case (CK_SOCK_STREAM, _), (CK_SOCK_DGRAM, _): return (-Int(EPROTONOSUPPORT), nil)
            default: return (-Int(ESOCKTNOSUPPORT), nil)
            }
        default: return (-Int(EAFNOSUPPORT), nil)
        }
    }

    /// socketpair(2), for Unix-domain sockets alone.
    private func makePair(_ call: SystemCall) -> Int {
        let first = newSocket(call)
        guard let one = first.socket else { return first.result }
        guard let one = one as? UnixSocket, let other = newSocket(call).socket as? UnixSocket else {
            return -Int(EOPNOTSUPP)
        }
        guard let pair = UnsafeMutablePointer<Int32>(bitPattern: call.d) else { return -Int(EFAULT) }
        one.pair(with: other)
        let isClosedOnExec = call.b & Int(CK_SOCK_CLOEXEC) != 0
        let number = descriptors.add(one, closesOnExec: isClosedOnExec)
        guard number >= 0 else { return number }
        let otherNumber = descriptors.add(other, closesOnExec: isClosedOnExec)
        guard otherNumber >= 0 else {
            _ = descriptors.remove(number)
            return otherNumber
        }
        (pair[0], pair[1]) = (Int32(number), Int32(otherNumber))
        return 0
    }

    /// accept4(2).
    private func accept(_ call: SystemCall) -> Int {
        guard call.d & ~Self.typeFlags == 0 else { return -Int(EINVAL) }
        return with(call) { listener in
            if let refusal = descriptors.refusal { return -Int(refusal) }
            let accepted = listener.accept(flags: UInt64(call.d & Int(CK_SOCK_NONBLOCK)))
            guard let socket = accepted.socket else { return accepted.result }
            let number = descriptors.add(socket, closesOnExec: call.d & Int(CK_SOCK_CLOEXEC) != 0)
            let stored = Self.store(socket.acceptedName, call.b, call.c)
            guard stored >= 0 else {
                _ = descriptors.remove(number)
                return stored
            }
            return number
        }
    }

    // MARK: Addresses

    /// Calls `body` with a sockaddr.
    private static func named(_ address: Int, _ count: Int, _ body: (UnsafeRawBufferPointer) -> Int) -> Int {
        guard (0...128).contains(count) else { return -Int(EINVAL) }
        guard let start = UnsafeRawPointer(bitPattern: address) else { return count == 0 ? -Int(EINVAL) : -Int(EFAULT) }
        return body(UnsafeRawBufferPointer(start: start, count: count))
    }

    /// Writes a sockaddr for the caller, truncated to its room, and its full length (move_addr_to_user). Without memory
    /// for it nothing is written.
    private static func store(_ name: [UInt8], _ address: Int, _ countAddress: Int) -> Int {
        guard let memory = UnsafeMutableRawPointer(bitPattern: address) else { return 0 }
        guard let count = UnsafeMutablePointer<Int32>(bitPattern: countAddress) else { return -Int(EFAULT) }
        guard count.pointee >= 0 else { return -Int(EINVAL) }
        let part = min(Int(count.pointee), name.count)
        name.withUnsafeBytes { memory.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(memory), byteCount: part) }
        count.pointee = Int32(name.count)
        return 0
    }

    // MARK: Transfers

    /// sendto(2).
    private func send(_ call: SystemCall) -> Int {
        with(call) { socket in
            guard call.c >= 0 else { return -Int(EINVAL) }
            guard call.b != 0 || call.c == 0 else { return -Int(EFAULT) }
            let bytes = UnsafeRawBufferPointer(
                start: UnsafeRawPointer(bitPattern: call.b), count: min(call.c, Self.transferMax))
            var source = WriteSource([bytes])
            let flags = Int32(truncatingIfNeeded: call.d)
            guard call.e != 0 else { return socket.send(&source, flags: flags, to: nil) }
            return Self.named(call.e, call.f) { socket.send(&source, flags: flags, to: $0.isEmpty ? nil : $0) }
        }
    }

    /// recvfrom(2).
    private func receive(_ call: SystemCall) -> Int {
        with(call) { socket in
            guard call.c >= 0 else { return -Int(EINVAL) }
            guard call.b != 0 || call.c == 0 else { return -Int(EFAULT) }
            let buffer = UnsafeMutableRawBufferPointer(
                start: UnsafeMutableRawPointer(bitPattern: call.b), count: min(call.c, Self.transferMax))
            var target = ReadTarget([buffer])
            let received = socket.receive(&target, flags: Int32(truncatingIfNeeded: call.d))
            guard received.result >= 0 else { return received.result }
            let stored = Self.store(received.name, call.e, call.f)
            return stored < 0 ? stored : received.result
        }
    }

    /// sendmsg(2). Control messages are not simulated: the library sends none.
    private func sendMessage(_ call: SystemCall) -> Int {
        with(call) { socket in
            guard let message = UnsafePointer<ck_message>(bitPattern: call.b)?.pointee else { return -Int(EFAULT) }
            let vectors = IOVectors(message.vectors, Int(clamping: message.vector_count))
            guard vectors.result >= 0 else {
                return message.vector_count > 1024 ? -Int(EMSGSIZE) : vectors.result
            }
            var source = WriteSource(vectors.buffers.map { UnsafeRawBufferPointer($0) })
            let flags = Int32(truncatingIfNeeded: call.c)
            guard message.name != nil, message.name_count > 0 else {
                return socket.send(&source, flags: flags, to: nil)
            }
            let name = UnsafeRawBufferPointer(start: message.name, count: Int(min(message.name_count, 128)))
            return socket.send(&source, flags: flags, to: name)
        }
    }

    /// recvmsg(2).
    private func receiveMessage(_ call: SystemCall) -> Int {
        with(call) { socket in
            guard let message = UnsafeMutablePointer<ck_message>(bitPattern: call.b) else { return -Int(EFAULT) }
            let vectors = IOVectors(UnsafePointer(message.pointee.vectors), Int(clamping: message.pointee.vector_count))
            guard vectors.result >= 0 else {
                return message.pointee.vector_count > 1024 ? -Int(EMSGSIZE) : vectors.result
            }
            var target = ReadTarget(vectors.buffers)
            let flags = Int32(truncatingIfNeeded: call.c)
            let received = socket.receive(&target, flags: flags)
            guard received.result >= 0 else { return received.result }
            if let memory = message.pointee.name {
                let part = min(Int(message.pointee.name_count), received.name.count)
                received.name.withUnsafeBytes {
                    memory.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(memory), byteCount: part)
                }
                message.pointee.name_count = UInt32(received.name.count)
            }
            message.pointee.flags = UInt32(bitPattern: received.flags | flags & CK_MSG_CMSG_CLOEXEC)
            message.pointee.control_count = 0
            return received.result
        }
    }
}
