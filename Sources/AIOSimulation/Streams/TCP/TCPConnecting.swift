internal import AIOCore
internal import CKernel

extension TCPSocket {
    // MARK: Names

    func bindLocal(_ name: UnsafeRawBufferPointer) -> Int {
        let parsed = Endpoint.parse(name, domain: domain, isV6Only: false)
        guard var endpoint = parsed.endpoint else { return parsed.result }
        let address = endpoint.address
        if domain == CK_AF_INET6, options.isV6Only, address.isV4 { return -Int(EINVAL) }
        guard address.isAny || host.owns(address) else { return -Int(EADDRNOTAVAIL) }
        guard state == .closed, !hasPort else { return -Int(EINVAL) }
        isPortChosen = endpoint.port != 0
        if endpoint.port == 0 {
            guard let port = host.ephemeralPort({ host.tcp.ports.isFree($0) }) else { return -Int(EADDRINUSE) }
            endpoint.port = port
        } else if host.tcp.ports.isTaken(endpoint, for: self) {
            return -Int(EADDRINUSE)
        }
        boundAddress = address.isAny ? nil : address
        take(endpoint)
        return 0
    }

    func beginListening(_ backlog: Int) -> Int {
        guard connecting == .unconnected, state == .closed || state == .listening else { return -Int(EINVAL) }
        // net.core.somaxconn.
        self.backlog = Int(min(UInt32(truncatingIfNeeded: backlog), 4096))
        guard state == .closed else { return 0 }
        if hasPort, let local {
            guard !host.tcp.ports.isTaken(local, for: self) else { return -Int(EADDRINUSE) }
        } else {
            guard let port = host.ephemeralPort({ host.tcp.ports.isFree($0) }) else { return -Int(EADDRINUSE) }
            take(Endpoint(boundAddress ?? unspecified.address, port))
        }
        move(to: .listening)
        return 0
    }

    func acceptPending(flags: UInt64) -> (result: Int, socket: SocketDescription?) {
        guard state == .listening else { return (-Int(EINVAL), nil) }
        guard !pending.isEmpty else { return (blocked(), nil) }
        let accepted = pending.removeFirst()
        accepted.listener = nil
        accepted.connecting = .connected
        accepted.flags |= flags
        return (0, accepted)
    }

    // MARK: connect

    /// inet_stream_connect.
    func connectStream(_ name: UnsafeRawBufferPointer) -> Int {
        guard name.count >= 2 else { return -Int(EINVAL) }
        if Endpoint.isUnspecified(name) {
            disconnect()
            return 0
        }
        var result = -Int(EALREADY)
        switch connecting {
        case .connected: return -Int(EISCONN)
        case .disconnecting: return -Int(EINVAL)
        case .connecting: break
        case .unconnected:
            guard state == .closed else { return -Int(EISCONN) }
            let begun = beginConnect(name)
            guard begun == 0 else { return begun }
            connecting = .connecting
            result = -Int(EINPROGRESS)
        }
        if state == .synSent {
            guard !isNonBlocking else { return result }
            return blocked()
        }
        if state == .closed {
            let error = takeError()
            disconnect()
            return error != 0 ? error : -Int(ECONNABORTED)
        }
        connecting = .connected
        return 0
    }

    /// tcp_v4_connect and tcp_v6_connect.
    private func beginConnect(_ name: UnsafeRawBufferPointer) -> Int {
        let parsed = Endpoint.parse(name, domain: domain, isV6Only: options.isV6Only)
        guard var target = parsed.endpoint else { return parsed.result }
        if target.address.isAny { target.address = target.address.isV4 ? .loopbackV4 : .loopbackV6 }
        guard !target.address.isMulticast, !target.address.isBroadcast else { return -Int(ENETUNREACH) }
        guard let source = boundAddress ?? host.source(for: target.address), source.isV4 == target.address.isV4 else {
            return -Int(ENETUNREACH)
        }
        // A loopback address is no source for another host.
        if source.isLoopback, !host.owns(target.address) { return -Int(EINVAL) }
        guard let port = sourcePort(source, target) else { return -Int(EADDRNOTAVAIL) }
        let from = Endpoint(source, port)
        take(from)
        remote = target
        // tcp_connect_init.
        _ = takeError()
        begin(as: network.newConnection(), .synSent)
        host.tcp.addConnection(self, from, target)
        send(.synchronize)
        startTimer()
        return 0
    }

    private func sourcePort(_ source: NetworkAddress, _ target: Endpoint) -> UInt16? {
        if hasPort, let local {
            return host.tcp.connection(Endpoint(source, local.port), target) == nil ? local.port : nil
        }
        return host.ephemeralPort { host.tcp.ports.isFree($0) }
    }

    /// A connection begins, with empty buffers.
    func begin(as connection: UInt64, _ state: State) {
        self.connection = connection
        (output, input) = (TCPOutput(), TCPInput())
        optionsChanged()
        isDone = false
        // A shutdown before the connect stays in effect.
        move(to: state)
    }

    /// tcp_disconnect: the socket can be connected again. The program is told of a connection that it has given up.
    func disconnect() {
        switch state {
        case .listening: stopListening()
        case .closed, .timeWait: break
        case .synSent: setError(ECONNRESET)
        case .lastAck, .closing:
            guard output.sent < output.end else { break }
            fallthrough
        default:
            send(.reset)
            setError(ECONNRESET)
        }
        move(to: .closed)
        connecting = .unconnected
        remote = nil
        local = local.map { Endpoint(boundAddress ?? unspecified.address, $0.port) }
        (output, input) = (TCPOutput(), TCPInput())
        isDone = false
        (isReceivingShut, isSendingShut) = (false, false)
        readinessChanged()
    }

    // MARK: As a listener

    /// inet_csk_listen_stop: connections that were not accepted are reset.
    func stopListening() {
        let unaccepted = pending
        pending = []
        for socket in unaccepted {
            socket.isDead = true
            socket.send(.reset)
            socket.end()
        }
    }

    /// A SYN has arrived.
    func receiveConnection(_ segment: TCPSegment, _ packet: Packet) {
        guard pending.count + embryoCount <= backlog else {
            return network.note(host, "backlog of \(packet.destination) is full")
        }
        host.tcp.connection(packet.destination, packet.source)?.resetByPeer()
        let child = TCPSocket(kernel, domain: domain, type: type, protocolNumber: protocolNumber, flags: 0)
        child.options = options
        // As all else, a clone has what was shut down before the listen.
        (child.isReceivingShut, child.isSendingShut) = (isReceivingShut, isSendingShut)
        child.remote = packet.source
        child.listener = self
        child.begin(as: segment.connection, .synReceived)
        child.output.windowEnd = segment.windowEnd
        embryoCount += 1
        child.take(packet.destination)
        host.tcp.addConnection(child, packet.destination, packet.source)
        child.send([.synchronize, .acknowledge])
        child.startTimer()
    }

    /// The connection is acknowledged: the listener has one more to accept.
    func becomeAcceptable() {
        move(to: .established)
        startKeepAlive()
        listener?.embryoCount -= 1
        guard let listener, listener.state == .listening else {
            isDead = true
            send(.reset)
            return end()
        }
        listener.pending.append(self)
        listener.readinessChanged()
        if isSendingShut { finishSending() }
    }
}
