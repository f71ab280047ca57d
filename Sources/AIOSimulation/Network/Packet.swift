/// What travels from host to host.
struct Packet {
    enum Content {
        case segment(TCPSegment)
        case datagram([UInt8])
        /// ICMP: nobody receives datagrams at the port that one was sent to.
        case unreachable
    }

    let source: Endpoint
    let destination: Endpoint
    let content: Content

    /// The bytes on the wire, with the headers of IP and of the layer above.
    var size: Int {
        switch content {
        case .segment(let segment): 40 + segment.data.count
        case .datagram(let bytes): 28 + bytes.count
        case .unreachable: 56
        }
    }

    /// News of room in a receive buffer is not lost by chance: the sender then need not ask for it again and again,
    /// while nothing else happens in the world.
    var canBeLost: Bool {
        if case .segment(let segment) = content { !segment.flags.contains(.window) } else { true }
    }

    /// For the trace.
    var text: String {
        switch content {
        case .segment(let segment): "tcp \(source) > \(destination): \(segment.text)"
        case .datagram(let bytes): "udp \(source) > \(destination): \(bytes.count) bytes"
        case .unreachable: "icmp \(source) > \(destination): port unreachable"
        }
    }
}

/// A TCP segment. Sequence numbers count the bytes of a direction from 0; a SYN takes none, a FIN takes one.
struct TCPSegment {
    struct Flags: OptionSet {
        let rawValue: UInt8
        static let synchronize = Flags(rawValue: 1)
        static let acknowledge = Flags(rawValue: 2)
        static let finish = Flags(rawValue: 4)
        static let reset = Flags(rawValue: 8)
        /// Asks for an acknowledgement: a window or keep-alive probe.
        static let probe = Flags(rawValue: 16)
        /// Tells that there is room again.
        static let window = Flags(rawValue: 32)
    }

    /// The connection, in place of the initial sequence numbers: a segment of an earlier connection between the same
    /// ports does not fit.
    let connection: UInt64
    var flags: Flags
    var sequence = 0
    var data: [UInt8] = []
    /// The next byte that the sender expects, and the first one that it has no room for.
    var acknowledged = 0
    var windowEnd = 0

    var text: String {
        if flags.contains(.reset) { return "RST" }
        var parts: [String] = []
        if flags.contains(.synchronize) { parts.append("SYN") }
        if !data.isEmpty { parts.append("\(sequence)+\(data.count)") }
        if flags.contains(.finish) { parts.append("FIN") }
        if flags.contains(.probe) { parts.append("probe") }
        if flags.contains(.acknowledge) { parts.append("ack \(acknowledged) window \(windowEnd - acknowledged)") }
        return parts.joined(separator: " ")
    }
}
