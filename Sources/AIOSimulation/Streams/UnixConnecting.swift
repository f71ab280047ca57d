internal import AIOCore
internal import CKernel

extension UnixSocket {
    func bindLocal(_ name: UnsafeRawBufferPointer) -> Int {
        if UnixName.isFamilyAlone(name) { return boundName == nil ? UnixName.autobind(self) : 0 }
        guard let bytes = UnixName.parse(name) else { return -Int(EINVAL) }
        guard boundName == nil else { return -Int(EINVAL) }
        return UnixName.bind(self, to: bytes)
    }

    func beginListening(_ backlog: Int) -> Int {
        guard isConnectionBased else { return -Int(EOPNOTSUPP) }
        guard boundName != nil, state != .connected else { return -Int(EINVAL) }
        // net.core.somaxconn.
        self.backlog = Int(min(UInt32(truncatingIfNeeded: backlog), 4096))
        state = .listening
        readinessChanged()
        return 0
    }

    func acceptPending(flags: UInt64) -> (result: Int, socket: SocketDescription?) {
        guard isConnectionBased else { return (-Int(EOPNOTSUPP), nil) }
        guard state == .listening else { return (-Int(EINVAL), nil) }
        guard !pending.isEmpty else {
            // A call that waits sees the end, another does not (unix_accept).
            return (isReceivingShut && !isNonBlocking ? -Int(EINVAL) : blocked(), nil)
        }
        let accepted = pending.removeFirst()
        accepted.flags |= flags
        // Those that wait for a place in the backlog are blocked on the listener.
        readinessChanged()
        return (0, accepted)
    }

    func connectPeer(_ name: UnsafeRawBufferPointer) -> Int {
        if !isConnectionBased { return connectDatagrams(name) }
        guard let bytes = UnixName.parse(name) else { return -Int(EINVAL) }
        let found = UnixName.find(bytes, for: self)
        guard let listener = found.socket else { return found.result }
        guard listener.state == .listening, !listener.isReceivingShut else { return -Int(ECONNREFUSED) }
        guard !listener.isQueueFull else { return isNonBlocking ? -Int(EAGAIN) : blocked(on: listener) }
        switch state {
        case .unconnected: break
        case .connected: return -Int(EISCONN)
        case .listening: return -Int(EINVAL)
        }
        let other = UnixSocket(kernel, type: type, flags: 0)
        other.boundName = listener.boundName
        other.options = listener.options
        pair(with: other)
        listener.pending.append(other)
        listener.readinessChanged()
        readinessChanged()
        kernel.note("connected to \(Self.text(bytes))")
        return 0
    }

    private func blocked(on listener: UnixSocket) -> Int {
        kernel.blockedOn = [listener]
        return SimulatedKernel.wouldBlock
    }

    private static func text(_ name: [UInt8]) -> String {
        (name[0] == 0 ? "unix:@" : "unix:") + String(decoding: name.filter { $0 != 0 }, as: UTF8.self)
    }

    /// The peer of a datagram socket; AF_UNSPEC removes it.
    private func connectDatagrams(_ name: UnsafeRawBufferPointer) -> Int {
        guard name.count >= 2 else { return -Int(EINVAL) }
        var other: UnixSocket?
        if name.loadUnaligned(as: UInt16.self) != 0 {
            guard let bytes = UnixName.parse(name) else { return -Int(EINVAL) }
            let found = UnixName.find(bytes, for: self)
            guard let socket = found.socket else { return found.result }
            guard socket.mayReceive(from: self) else { return -Int(EPERM) }
            other = socket
        }
        let old = peer
        peer = other
        old?.followers.removeAll { $0 === self }
        other?.followers.append(self)
        if let old, old !== other { disconnectDatagrams(from: old) }
        state = other == nil ? .unconnected : .connected
        readinessChanged()
        return 0
    }

    /// unix_dgram_disconnected: what the former peer sent is lost, and it gets an error if it was connected to this.
    private func disconnectDatagrams(from old: UnixSocket) {
        guard !queue.isEmpty else { return }
        dropQueue()
        if !old.isDead, old.peer === self { old.setError(ECONNRESET) }
    }

    /// unix_may_send: a datagram socket with a peer receives from that alone.
    func mayReceive(from sender: UnixSocket) -> Bool { peer == nil || peer === sender }
}
