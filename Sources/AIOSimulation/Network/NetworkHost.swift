internal import AIOCore

/// A host as the network sees it: addresses, and the sockets that have ports.
final class NetworkHost {
    unowned let kernel: SimulatedKernel
    unowned let network: SimulatedNetwork
    let index: Int
    /// Beside the loopback addresses.
    var addresses: [NetworkAddress] = []
    var isUp = true
    var tcp = TCPTable()
    var udp = PortTable<UDPSocket>()
    private var ephemeralCount: UInt16

    var name: String { kernel.host }
    var world: World { network.world }

    init(_ kernel: SimulatedKernel, _ index: Int, in network: SimulatedNetwork) {
        (self.kernel, self.index, self.network) = (kernel, index, network)
        ephemeralCount = UInt16(network.world.random.below(Self.ephemeralPorts.count))
    }

    func owns(_ address: NetworkAddress) -> Bool { address.isLoopback || addresses.contains(address) }

    /// The source address for a destination; nil if the host has none of its family (ENETUNREACH).
    func source(for destination: NetworkAddress) -> NetworkAddress? {
        if destination.isLoopback { return destination.isV4 ? .loopbackV4 : .loopbackV6 }
        if owns(destination) { return destination }
        return addresses.first { $0.isV4 == destination.isV4 }
    }

    /// net.ipv4.ip_local_port_range.
    private static let ephemeralPorts = 32768...60999

    /// The next port that `isFree`; nil if all are taken.
    func ephemeralPort(_ isFree: (UInt16) -> Bool) -> UInt16? {
        for _ in Self.ephemeralPorts {
            ephemeralCount = (ephemeralCount + 1) % UInt16(Self.ephemeralPorts.count)
            let port = UInt16(Self.ephemeralPorts.lowerBound) + ephemeralCount
            if isFree(port) { return port }
        }
        return nil
    }

    func receive(_ packet: Packet) {
        switch packet.content {
        case .segment(let segment): receive(segment, packet)
        case .datagram(let bytes): UDPSocket.deliver(bytes, packet, to: self)
        case .unreachable: UDPSocket.reportUnreachable(packet, to: self)
        }
    }

    private func receive(_ segment: TCPSegment, _ packet: Packet) {
        if let socket = tcp.connection(packet.destination, packet.source), socket.connection == segment.connection {
            return socket.receive(segment)
        }
        guard !segment.flags.contains(.reset) else { return }
        if segment.flags == .synchronize,
            let listener = tcp.ports.receiver(of: packet, where: { $0.isListening })
        {
            return listener.receiveConnection(segment, packet)
        }
        answerWithReset(segment, packet)
    }

    private func answerWithReset(_ segment: TCPSegment, _ packet: Packet) {
        let reset = TCPSegment(connection: segment.connection, flags: .reset)
        network.send(
            Packet(source: packet.destination, destination: packet.source, content: .segment(reset)), from: self)
    }

    func crash() {
        isUp = false
        for socket in tcp.connections { socket.vanish() }
        tcp = TCPTable()
        udp = PortTable<UDPSocket>()
    }
}
