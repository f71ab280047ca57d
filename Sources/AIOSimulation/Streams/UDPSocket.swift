internal import AIOCore
internal import CKernel

/// A UDP socket (net/ipv4/udp.c).
final class UDPSocket: SocketDescription, PortOwner {
    unowned let host: NetworkHost
    var local: Endpoint?
    /// What the program has chosen (SOCK_BINDADDR_LOCK, SOCK_BINDPORT_LOCK): it stays after a disconnect.
    private var boundAddress: NetworkAddress?
    private var isPortChosen = false
    private var hasPort = false
    private(set) var remote: Endpoint?
    /// Multicast groups, in the order in which they were joined.
    var groups: [NetworkAddress] = []
    private var queue: [Datagram] = []
    private var queueMemory = 0

    override init(_ kernel: SimulatedKernel, domain: Int32, type: Int32, protocolNumber: Int32, flags: UInt64) {
        host = kernel.node
        super.init(kernel, domain: domain, type: type, protocolNumber: protocolNumber, flags: flags)
    }

    override var name: String { local.map { "udp \($0)" } ?? "udp" }
    override var isBound: Bool { hasPort }
    var isSharedExclusively: Bool { false }
    override var localName: [UInt8] { (local ?? unspecified).name(domain) }
    override var peerName: [UInt8]? { remote?.name(domain) }

    private var unspecified: Endpoint { Endpoint(domain == CK_AF_INET ? .anyV4 : .anyV6, 0) }

    /// datagram_poll.
    override var readyEvents: UInt32 {
        var events = CK_POLLOUT | CK_POLLWRNORM | CK_POLLWRBAND
        if pendingError != 0 { events |= CK_POLLERR }
        if isReceivingShut { events |= CK_POLLRDHUP | CK_POLLIN | CK_POLLRDNORM }
        if isReceivingShut && isSendingShut { events |= CK_POLLHUP }
        if !queue.isEmpty { events |= CK_POLLIN | CK_POLLRDNORM }
        return events
    }

    override var availableCount: Int? { queue.first?.bytes.count ?? 0 }

    // MARK: Names

    override func bind(_ name: UnsafeRawBufferPointer) -> Int {
        let parsed = Endpoint.parse(name, domain: domain, isV6Only: false)
        guard var endpoint = parsed.endpoint else { return parsed.result }
        let address = endpoint.address
        if domain == CK_AF_INET6, options.isV6Only, address.isV4 { return -Int(EINVAL) }
        guard address.isAny || address.isMulticast || address.isBroadcast || host.owns(address) else {
            return -Int(EADDRNOTAVAIL)
        }
        guard !hasPort else { return -Int(EINVAL) }
        isPortChosen = endpoint.port != 0
        if endpoint.port == 0 {
            guard let port = host.ephemeralPort({ host.udp.isFree($0) }) else { return -Int(EADDRINUSE) }
            endpoint.port = port
        } else if host.udp.isTaken(endpoint, for: self) {
            return -Int(EADDRINUSE)
        }
        boundAddress = address.isAny ? nil : address
        take(endpoint)
        return 0
    }

    private func take(_ endpoint: Endpoint) {
        if !hasPort { host.udp.add(self, endpoint.port) }
        hasPort = true
        local = endpoint
    }

    /// A port of the kernel's choice, on the first send or connect. False if none is free.
    private func autobind() -> Bool {
        guard !hasPort else { return true }
        guard let port = host.ephemeralPort({ host.udp.isFree($0) }) else { return false }
        take(Endpoint(boundAddress ?? unspecified.address, port))
        return true
    }

    override func connect(_ name: UnsafeRawBufferPointer) -> Int {
        guard name.count >= 2 else { return -Int(EINVAL) }
        if Endpoint.isUnspecified(name) {
            disconnect()
            return 0
        }
        guard autobind() else { return -Int(EAGAIN) }
        let parsed = Endpoint.parse(name, domain: domain, isV6Only: options.isV6Only)
        guard var target = parsed.endpoint else { return parsed.result }
        if target.address.isAny { target.address = target.address.isV4 ? .loopbackV4 : .loopbackV6 }
        guard !target.address.isBroadcast || options.isOn(CK_SOL_SOCKET, CK_SO_BROADCAST) else { return -Int(EACCES) }
        guard let source = source(for: target.address), let local else { return -Int(ENETUNREACH) }
        self.local = Endpoint(source, local.port)
        remote = target
        readinessChanged()
        return 0
    }

    /// __udp_disconnect: a port of the kernel's choice is given back.
    private func disconnect() {
        remote = nil
        guard let local else { return }
        let address = boundAddress ?? unspecified.address
        if !isPortChosen { giveBackPort(local) }
        self.local = Endpoint(address, isPortChosen ? local.port : 0)
        readinessChanged()
    }

    private func source(for destination: NetworkAddress) -> NetworkAddress? {
        if let boundAddress, !boundAddress.isMulticast { return boundAddress }
        if destination.isMulticast || destination.isBroadcast {
            return host.addresses.first { $0.isV4 == destination.isV4 }
                ?? (destination.isV4 ? .loopbackV4 : .loopbackV6)
        }
        return host.source(for: destination)
    }

    // MARK: Sending

    /// udp_sendmsg.
    override func send(_ source: inout WriteSource, flags: Int32, to name: UnsafeRawBufferPointer?) -> Int {
        guard source.remaining <= 0xffff else { return -Int(EMSGSIZE) }
        var destination = remote
        if let name {
            let parsed = Endpoint.parse(name, domain: domain, isV6Only: options.isV6Only)
            guard let endpoint = parsed.endpoint else { return parsed.result }
            guard endpoint.port != 0 else { return -Int(EINVAL) }
            destination = endpoint
        }
        guard autobind(), let local else { return -Int(EAGAIN) }
        guard var destination else { return -Int(EDESTADDRREQ) }
        if destination.address.isAny { destination.address = destination.address.isV4 ? .loopbackV4 : .loopbackV6 }
        let isBroadcast = destination.address.isBroadcast
        guard !isBroadcast || options.isOn(CK_SOL_SOCKET, CK_SO_BROADCAST) else { return -Int(EACCES) }
        guard let from = self.source(for: destination.address) else { return -Int(ENETUNREACH) }
        guard source.remaining <= (destination.address.isV4 ? 65507 : 65527) else { return -Int(EMSGSIZE) }
        let error = takeError()
        guard error == 0 else { return error }
        guard !isSendingShut else { return -Int(EPIPE) }
        let count = source.remaining
        let packet = Packet(
            source: Endpoint(from, local.port), destination: destination, content: .datagram(source.take(count)))
        if destination.address.isMulticast || isBroadcast {
            sendToGroup(packet)
        } else {
            host.network.send(packet, from: host)
        }
        return count
    }

    private func sendToGroup(_ packet: Packet) {
        let isV4 = packet.destination.address.isV4
        let isLooped =
            isV4
            ? options[CK_IPPROTO_IP, CK_IP_MULTICAST_LOOP] ?? 1 != 0
            : options[CK_IPPROTO_IPV6, CK_IPV6_MULTICAST_LOOP] ?? 1 != 0
        if isLooped || !packet.destination.address.isMulticast { host.receive(packet) }
        host.network.sendToOthers(packet, from: host)
    }

    // MARK: Receiving

    override func receive(_ target: inout ReadTarget, flags: Int32) -> Received {
        let error = takeError()
        guard error == 0 else { return Received(result: error) }
        guard let datagram = queue.first else {
            // A call that waits sees the end, another does not (__skb_wait_for_more_packets).
            let isWaiting = !flags.isWithoutWaiting && !isNonBlocking
            return Received(result: isReceivingShut && isWaiting ? 0 : blocked(flags.isWithoutWaiting))
        }
        let received = datagram.receive(into: &target, flags: flags)
        if !flags.isPeek {
            queue.removeFirst()
            queueMemory -= SocketMemory.ofDatagram(datagram.bytes.count)
        }
        return received
    }

    override func shutdown(receiving: Bool, sending: Bool) -> Int {
        isReceivingShut = isReceivingShut || receiving
        isSendingShut = isSendingShut || sending
        readinessChanged()
        return remote == nil ? -Int(ENOTCONN) : 0
    }

    override func lastClose() {
        if let local { giveBackPort(local) }
        local = nil
    }

    private func giveBackPort(_ endpoint: Endpoint) {
        if hasPort { host.udp.remove(self, endpoint.port) }
        hasPort = false
    }

    /// A datagram has arrived at a host: for one socket, or for all that have joined the group.
    static func deliver(_ bytes: [UInt8], _ packet: Packet, to host: NetworkHost) {
        let address = packet.destination.address
        if address.isMulticast || address.isBroadcast {
            for socket in host.udp.sockets(at: packet.destination.port) where socket.isMember(of: address, packet) {
                socket.enqueue(bytes, from: packet.source)
            }
            return
        }
        let connected = host.udp.sockets(at: packet.destination.port).last {
            $0.remote == packet.source && $0.local?.address == address
        }
        if let socket = connected ?? host.udp.receiver(of: packet, where: { $0.remote == nil }) {
            return socket.enqueue(bytes, from: packet.source)
        }
        host.network.send(
            Packet(source: packet.destination, destination: packet.source, content: .unreachable), from: host)
    }

    private func isMember(of address: NetworkAddress, _ packet: Packet) -> Bool {
        guard remote == nil || remote == packet.source, let local else { return false }
        guard local.address == address || local.address.isAny else { return false }
        return address.isBroadcast || groups.contains(address)
    }

    /// Without room the datagram is lost.
    private func enqueue(_ bytes: [UInt8], from source: Endpoint) {
        guard queueMemory <= options.receiveBuffer else { return host.network.note(host, "\(name) has no room") }
        queueMemory += SocketMemory.ofDatagram(bytes.count)
        queue.append(Datagram(bytes: bytes, sender: source.name(domain)))
        readinessChanged()
    }

    /// ICMP port unreachable, which a connected socket reports.
    static func reportUnreachable(_ packet: Packet, to host: NetworkHost) {
        let sender = host.udp.sockets(at: packet.destination.port).last {
            $0.remote == packet.source && $0.local?.address == packet.destination.address
        }
        sender?.setError(ECONNREFUSED)
    }
}
