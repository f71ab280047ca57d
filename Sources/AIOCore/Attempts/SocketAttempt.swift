internal import CKernel

extension SocketCall {
    /// Executes the call on this thread without waiting for a peer: -EAGAIN if it would block, -EINPROGRESS for a
    /// connect that has begun. The exception is an accept on a socket without O_NONBLOCK, which blocks if another
    /// process takes the pending connection first; it goes to a worker (`StreamAttempt.needsWorker`).
    func attempt() -> Int {
        switch self {
        case .create(let domain, let type, let number):
            return Kernel.socket(domain, type, number)
        case .bind(let socket, let address, let count):
            return Kernel.bind(socket.number, address, count)
        case .listen(let socket, let backlog):
            return Kernel.listen(socket.number, backlog)
        case .accept(let socket, let address, let count, let flags):
            return Self.accept(socket.number, address, count, flags)
        case .connect(let socket, let address, let count):
            return Kernel.connectWithoutWaiting(socket.number, address, count)
        case .receive(let socket, let buffer, let count, let flags, _):
            return Kernel.receive(socket.number, buffer, count, Self.receiveFlags(flags) | CK_MSG_DONTWAIT)
        case .send(let socket, let bytes, let count, let flags, _),
            .sendZeroCopy(let socket, let bytes, let count, let flags):
            return Kernel.send(socket.number, bytes, count, Self.sendFlags(flags) | CK_MSG_DONTWAIT)
        case .receiveMessage(let socket, let message, let flags, _):
            return Kernel.receiveMessage(socket.number, message, Self.receiveFlags(flags) | CK_MSG_DONTWAIT)
        case .sendMessage(let socket, let message, let flags, _):
            return Kernel.sendMessage(socket.number, message, Self.sendFlags(flags) | CK_MSG_DONTWAIT)
        case .shutdown(let socket, let how):
            return Kernel.shutdown(socket.number, how)
        case .acceptEach, .receiveBuffered:
            // The queue issues these as single steps.
            return -Int(EINVAL)
        }
    }

    private static func accept(
        _ socket: Int32, _ address: UnsafeMutableRawPointer?, _ count: UnsafeMutablePointer<UInt32>?, _ flags: Int32
    ) -> Int {
        guard !mayBlock(accepting: socket) || Kernel.readyEvents(socket, CK_POLLIN) != 0 else { return -Int(EAGAIN) }
        return Kernel.accept4(socket, address, count, flags)
    }

    /// Whether accept4(2) blocks on this descriptor without a pending connection. A socket that does not listen fails
    /// at once.
    static func mayBlock(accepting socket: Int32) -> Bool {
        let flags = Kernel.openFlags(socket)
        return flags >= 0 && flags & Int(CK_O_NONBLOCK) == 0 && Kernel.isListening(socket)
    }
}

extension SocketCall {
    func streamAttempt() -> StreamAttempt {
        if case .accept(let socket, _, _, _) = self, Self.mayBlock(accepting: socket.number) {
            // Even with a connection pending: another process may take it first.
            return Kernel.readyEvents(socket.number, CK_POLLIN) == 0 ? .notReady : .needsWorker
        }
        let result = attempt()
        switch result {
        case -Int(EAGAIN): return traits.isWithoutWaiting || isPacedByTime ? .done(result) : .notReady
        case -Int(EINPROGRESS), -Int(EALREADY):
            if case .connect = self { return .notReady }
            return .done(result)
        default: return .done(result)
        }
    }
}
