internal import AIO
internal import AIOCore

/// The network between the hosts of a world.
///
/// A packet between two hosts is an event of the world. On a host's own addresses it arrives before the system call
/// that sends it returns, as on a loopback interface.
final class SimulatedNetwork {
    unowned let world: World
    private(set) var hosts: [NetworkHost] = []
    /// What links are like that `setLink` has not changed.
    var defaultLink = Link()
    private var links: [Int: Link] = [:]
    private var names: [String: [NetworkAddress]] = [:]
    private var loopback: [(host: NetworkHost, packet: Packet)] = []
    private var isDelivering = false
    private var connectionCount: UInt64 = 0

    /// How long a connect waits (tcp_syn_retries), and how long data stays unacknowledged (tcp_retries2), before they
    /// fail with ETIMEDOUT.
    var connectTimeout: Nanoseconds = 127_000_000_000
    var dataTimeout: Nanoseconds = 924_000_000_000
    /// TIME_WAIT, and FIN_WAIT2 of a closed socket.
    var closedTimeout: Nanoseconds = 60_000_000_000

    init(in world: World) { self.world = world }

    func newConnection() -> UInt64 {
        connectionCount += 1
        return connectionCount
    }

    // MARK: Hosts

    /// Adds a host under its name, with the address 10.0.0.n.
    func addHost(_ kernel: SimulatedKernel) -> NetworkHost {
        let index = hosts.count
        let address = IPv4Address(10, 0, UInt8((index + 1) >> 8), UInt8(truncatingIfNeeded: index + 1))
        let host = NetworkHost(kernel, index, in: self)
        host.addresses = [NetworkAddress(address)]
        hosts.append(host)
        names[kernel.host] = host.addresses
        return host
    }

    func host(with address: NetworkAddress) -> NetworkHost? { hosts.first { $0.addresses.contains(address) } }

    /// Gives a host another address.
    func add(_ address: NetworkAddress, to host: NetworkHost) {
        host.addresses.append(address)
        names[host.name] = host.addresses
    }

    /// The addresses of a host name; nil if it is not known (EAI_NONAME).
    func resolve(_ name: String) -> [NetworkAddress]? {
        name == "localhost" ? [.loopbackV6, .loopbackV4] : names[name]
    }

    /// Gives a name to addresses, as a line of /etc/hosts does.
    func setName(_ name: String, _ addresses: [NetworkAddress]) { names[name] = addresses }

    // MARK: Links

    private func key(_ from: NetworkHost, _ to: NetworkHost) -> Int { from.index << 32 | to.index }

    func link(_ from: NetworkHost, _ to: NetworkHost) -> Link { links[key(from, to)] ?? defaultLink }

    /// Changes the link of one direction.
    func setLink(_ from: NetworkHost, _ to: NetworkHost, _ change: (inout Link) -> Void) {
        change(&links[key(from, to), default: defaultLink])
        reachabilityChanged()
    }

    private func reachabilityChanged() {
        for host in hosts { for socket in host.tcp.connections { socket.reachabilityChanged() } }
    }

    /// Stops all packets between two hosts, also those on their way.
    func partition(_ a: NetworkHost, _ b: NetworkHost) {
        cut(from: a, to: b)
        cut(from: b, to: a)
    }

    /// Stops the packets of one direction.
    func cut(from: NetworkHost, to: NetworkHost) {
        setLink(from, to) { $0.isCut = true }
        note(from, "cut off from \(to.name)")
    }

    func heal(_ a: NetworkHost, _ b: NetworkHost) {
        setLink(a, b) { $0.isCut = false }
        setLink(b, a) { $0.isCut = false }
        note(a, "connected with \(b.name) again")
    }

    /// The host vanishes: its sockets are gone without a packet, and what is on the way to it gets lost.
    func crash(_ host: NetworkHost) {
        host.crash()
        note(host, "crashed")
        reachabilityChanged()
    }

    /// The host is reachable again. It knows nothing of former connections, and answers their segments with RST.
    func restart(_ host: NetworkHost) {
        host.isUp = true
        note(host, "restarted")
    }

    /// Resets all connections between two hosts, at both ends.
    func reset(_ a: NetworkHost, _ b: NetworkHost) {
        note(a, "connections with \(b.name) reset")
        for (host, other) in [(a, b), (b, a)] {
            for socket in host.tcp.connections where other.addresses.contains(socket.remote?.address ?? .anyV4) {
                socket.resetByPeer()
            }
        }
    }

    func note(_ host: NetworkHost, _ what: @autoclosure () -> String) { world.trace.note(world.now, host.name, what()) }

    // MARK: Packets

    /// Sends a packet. It arrives not before `earliest`. Returns when it arrives; nil if it gets lost, or at once.
    @discardableResult
    func send(_ packet: Packet, from host: NetworkHost, notBefore earliest: Nanoseconds = 0) -> Nanoseconds? {
        guard host.isUp else { return nil }
        if host.owns(packet.destination.address) {
            loopback.append((host, packet))
            return nil
        }
        guard let target = self.host(with: packet.destination.address) else {
            note(host, "no host for \(packet.text)")
            return nil
        }
        let arrival = links[key(host, target), default: defaultLink].arrival(of: packet, in: world)
        duplicate(packet, from: host, to: target)
        guard let arrival = arrival.map({ max($0, earliest) }) else {
            note(host, "lost \(packet.text)")
            return nil
        }
        note(host, packet.text)
        deliver(packet, from: host, to: target, at: arrival)
        return arrival
    }

    private func duplicate(_ packet: Packet, from host: NetworkHost, to target: NetworkHost) {
        let second = links[key(host, target), default: defaultLink].secondArrival(of: packet, in: world)
        guard let second else { return }
        note(host, "twice: \(packet.text)")
        deliver(packet, from: host, to: target, at: second)
    }

    private func deliver(_ packet: Packet, from host: NetworkHost, to target: NetworkHost, at time: Nanoseconds) {
        world.schedule(at: time) { [self] in
            guard target.isUp, !link(host, target).isCut else { return note(target, "lost \(packet.text)") }
            target.receive(packet)
            deliverLoopback()
        }
    }

    /// Sends a copy of a datagram to every other host: multicast and broadcast.
    func sendToOthers(_ packet: Packet, from host: NetworkHost) {
        guard host.isUp else { return }
        for target in hosts where target !== host {
            let arrival = links[key(host, target), default: defaultLink].arrival(of: packet, in: world)
            duplicate(packet, from: host, to: target)
            guard let arrival else { continue }
            world.schedule(at: arrival) { [self] in
                guard target.isUp, !link(host, target).isCut else { return }
                note(target, packet.text)
                target.receive(packet)
            }
        }
    }

    /// Delivers the packets of hosts to themselves, and what these cause.
    func deliverLoopback() {
        guard !isDelivering, !loopback.isEmpty else { return }
        isDelivering = true
        var next = 0
        while next < loopback.count {
            let (host, packet) = loopback[next]
            next += 1
            if host.isUp { host.receive(packet) }
        }
        loopback = []
        isDelivering = false
    }
}
