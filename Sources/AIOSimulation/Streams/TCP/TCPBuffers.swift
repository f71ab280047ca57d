internal import AIOCore

/// What a connection sends: bytes that were not acknowledged, and how far they were sent.
struct TCPOutput {
    /// SO_SNDBUF at first (net.ipv4.tcp_wmem).
    static let initialBuffer = 16384
    /// How much a connection buffers whose program has not set SO_SNDBUF: the kernel lets the buffer grow.
    private static let grownBuffer = 256 << 10

    var queue = ByteQueue()
    /// The number of the first byte in the queue: all before it are acknowledged.
    var acknowledged = 0
    var sent = 0
    /// The first byte that the peer has no room for.
    var windowEnd = 0
    /// The program has ended its direction: a FIN follows the last byte.
    var endsAfterQueue = false
    var isFinishSent = false
    /// Where a loss was noticed: it is repaired once.
    var recoveryEnd = 0
    var capacity = grownBuffer
    /// When the last segment arrives: the network keeps the order within a connection.
    var lastArrival: Nanoseconds = 0

    var end: Int { acknowledged + queue.count }
    var room: Int { max(0, capacity - queue.count) }
    /// Whether poll(2) reports POLLOUT: while a third of the buffer is free (__sk_stream_is_writeable).
    var isWritable: Bool { capacity - queue.count >= queue.count / 2 }
    /// Whether something waits for an acknowledgement, or for room at the peer.
    var isOutstanding: Bool { !queue.isEmpty || isFinishSent || endsAfterQueue }
}

/// What a connection has received.
struct TCPInput {
    /// SO_RCVBUF at first (net.ipv4.tcp_rmem). Half of it is for the bytes, the other for the kernel's descriptors.
    static let initialBuffer = 131_072

    var queue = ByteQueue()
    /// The number of the next byte.
    var next = 0
    /// The end of the window that was announced last.
    var announcedEnd = 0
    var capacity = initialBuffer / 2

    var windowEnd: Int { max(announcedEnd, next + max(0, capacity - queue.count)) }
}
