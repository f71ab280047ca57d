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
        if loss > 0, packet.canBeLost, Double(world.random.next() >> 11) < loss * 0x1p53 { return nil }
        return busyUntil + latency + (jitter > 0 ? world.random.next() % (jitter + 1) : 0)
    }

    /// How long a sender waits for an acknowledgement before it sends again.
    var retransmissionDelay: Nanoseconds { 200_000_000 + 2 * (latency + jitter) }
}
