internal import AIOCore

/// One direction between two hosts.
struct Link {
    var latency: Nanoseconds = 500_000
    /// The largest delay on top, of which each packet gets a part by chance.
    var jitter: Nanoseconds = 100_000
    /// 0 for no limit.
    var bytesPerSecond: Int = 125_000_000
    /// The part of the packets that get lost: 0 to 1.
    var loss: Double = 0
    /// The part of the packets that are held up, for `holdUp` at most by chance, so that later ones overtake them: 0 to
    /// 1. Segments of one direction of a connection wait for those before them (`SimulatedNetwork.send`).
    var reordering: Double = 0
    var holdUp: Nanoseconds = 10_000_000
    /// The part of the datagrams that arrive twice: 0 to 1.
    var duplication: Double = 0
    /// The bytes of data in a TCP segment.
    var segmentSize = 1448
    /// Whether a partition stops all packets.
    var isCut = false
    /// Until when earlier packets occupy the link.
    private var busyUntil: Nanoseconds = 0

    /// The time at which a packet that is sent now arrives; nil if it gets lost.
    mutating func arrival(of packet: Packet, in world: World) -> Nanoseconds? {
        guard !isCut else { return nil }
        let start = max(world.now, busyUntil)
        let duration = bytesPerSecond > 0 ? Nanoseconds(packet.size) &* 1_000_000_000 / Nanoseconds(bytesPerSecond) : 0
        busyUntil = start + duration
        if packet.canBeLost, world.random.happens(loss) { return nil }
        let late = world.random.happens(reordering) ? world.random.next() % (holdUp + 1) : 0
        return busyUntil + latency + late + (jitter > 0 ? world.random.next() % (jitter + 1) : 0)
    }

    /// The time at which a packet that has been sent arrives once more; nil if it does not.
    mutating func secondArrival(of packet: Packet, in world: World) -> Nanoseconds? {
        guard case .datagram = packet.content, world.random.happens(duplication) else { return nil }
        return arrival(of: packet, in: world)
    }

    /// How long a sender waits for an acknowledgement before it sends again.
    var retransmissionDelay: Nanoseconds { 200_000_000 + 2 * (latency + jitter + (reordering > 0 ? holdUp : 0)) }
}
