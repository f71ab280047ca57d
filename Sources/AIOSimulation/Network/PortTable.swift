/// A socket with a local address.
protocol PortOwner: SocketDescription {
    var local: Endpoint? { get }
    /// A socket that listens shares its address with no other, unless both have SO_REUSEPORT.
    var isSharedExclusively: Bool { get }
}

/// The sockets of one protocol by their local port.
struct PortTable<Owner: PortOwner> {
    private var owners: [UInt16: [Owner]] = [:]

    func isFree(_ port: UInt16) -> Bool { owners[port] == nil }

    /// In the order in which they got their port.
    func sockets(at port: UInt16) -> [Owner] { owners[port] ?? [] }

    mutating func add(_ socket: Owner, _ port: UInt16) { owners[port, default: []].append(socket) }

    mutating func remove(_ socket: Owner, _ port: UInt16) {
        owners[port]?.removeAll { $0 === socket }
        if owners[port]?.isEmpty ?? false { owners[port] = nil }
    }

    /// Whether another socket has the address so that `socket` must not have it as well (inet_csk_bind_conflict).
    func isTaken(_ endpoint: Endpoint, for socket: Owner) -> Bool {
        sockets(at: endpoint.port).contains { other in
            guard other !== socket, let local = other.local else { return false }
            guard Self.overlap(endpoint.address, socket, local.address, other) else { return false }
            if socket.options.reusesAddress, other.options.reusesAddress, !other.isSharedExclusively { return false }
            return !(socket.options.reusesPort && other.options.reusesPort)
        }
    }

    private static func overlap(
        _ address: NetworkAddress, _ socket: Owner, _ other: NetworkAddress, _ owner: Owner
    ) -> Bool {
        address == other || covers(address, socket, other) || covers(other, owner, address)
    }

    /// Whether a socket bound to `address` receives what is sent to `other`.
    private static func covers(_ address: NetworkAddress, _ socket: Owner, _ other: NetworkAddress) -> Bool {
        if address == .anyV4 { return other.isV4 }
        return address == .anyV6 && !(socket.options.isV6Only && other.isV4)
    }

    /// The socket that a packet without a connection is for: one that is bound to the very address before one bound to
    /// all of its family, and those before one of both families. Among sockets with SO_REUSEPORT the sender decides.
    func receiver(of packet: Packet, where isSuitable: (Owner) -> Bool) -> Owner? {
        let address = packet.destination.address
        var best: [Owner] = []
        var bestScore = 0
        for socket in sockets(at: packet.destination.port) where isSuitable(socket) {
            guard let local = socket.local?.address else { continue }
            let score: Int
            switch local {
            case address: score = 3
            case .anyV4 where address.isV4: score = 2
            case .anyV6 where !address.isV4: score = 2
            case .anyV6 where !socket.options.isV6Only: score = 1
            default: continue
            }
            if score > bestScore { (best, bestScore) = ([], score) }
            if score == bestScore { best.append(socket) }
        }
        guard let last = best.last, last.options.reusesPort else { return best.last }
        let group = best.filter { $0.options.reusesPort }
        let hash =
            (UInt32(packet.source.port) &+ UInt32(truncatingIfNeeded: packet.source.address.low)) &* 2_654_435_761
        return group[Int(hash >> 16) % group.count]
    }
}

/// The TCP sockets of a host.
struct TCPTable {
    private struct Ends: Hashable {
        let local, remote: Endpoint
    }

    var ports = PortTable<TCPSocket>()
    private var byEnds: [Ends: TCPSocket] = [:]
    /// In the order of their beginning.
    private(set) var connections: [TCPSocket] = []

    func connection(_ local: Endpoint, _ remote: Endpoint) -> TCPSocket? {
        byEnds[Ends(local: local, remote: remote)]
    }

    mutating func addConnection(_ socket: TCPSocket, _ local: Endpoint, _ remote: Endpoint) {
        byEnds[Ends(local: local, remote: remote)] = socket
        connections.append(socket)
    }

    mutating func removeConnection(_ socket: TCPSocket, _ local: Endpoint, _ remote: Endpoint) {
        let ends = Ends(local: local, remote: remote)
        if byEnds[ends] === socket { byEnds[ends] = nil }
        connections.removeAll { $0 === socket }
    }
}
