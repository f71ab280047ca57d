internal import AIOCore
internal import CKernel

/// A Unix-domain socket: stream, datagram or seqpacket (net/unix/af_unix.c).
final class UnixSocket: SocketDescription {
    enum State { case unconnected, listening, connected }

    /// A message in a receive queue; for streams, a part of the stream.
    struct Message {
        var bytes: [UInt8]
        var start = 0
        /// The sender, whose send buffer the message occupies.
        let sender: UnixSocket
        let memory: Int
        /// The sender's name when the message is received: a socket may get it in between.
        var senderName: [UInt8] { sender.boundName ?? [] }

        var count: Int { bytes.count - start }
    }

    var state = State.unconnected
    var peer: UnixSocket?
    /// The bound name as a sockaddr; nil if the socket has none.
    var boundName: [UInt8]?
    /// Whether the last descriptor was closed.
    var isDead = false
    var queue: [Message] = []
    /// sk_wmem_alloc: the memory of the messages sent that were not received.
    var writeMemory = 0
    var pending: [UnixSocket] = []
    /// Datagram sockets that are connected to this one: they are writable while its queue has room.
    var followers: [UnixSocket] = []
    /// sk_max_ack_backlog: of a listener, and of the queue of a datagram socket (net.unix.max_dgram_qlen).
    var backlog = 10

    var isStream: Bool { type == CK_SOCK_STREAM }
    var isConnectionBased: Bool { type != CK_SOCK_DGRAM }

    init(_ kernel: SimulatedKernel, type: Int32, flags: UInt64) {
        super.init(kernel, domain: CK_AF_UNIX, type: type, protocolNumber: 0, flags: flags)
    }

    override var name: String { "unix" }
    override var isListening: Bool { state == .listening }
    override var isBound: Bool { boundName != nil }
    override var localName: [UInt8] { boundName ?? UnixName.none }
    override var peerName: [UInt8]? { peer.map { $0.boundName ?? UnixName.none } }

    func pair(with other: UnixSocket) {
        (peer, other.peer) = (other, self)
        (state, other.state) = (.connected, .connected)
    }

    // MARK: Calls, which are extensions

    override func bind(_ name: UnsafeRawBufferPointer) -> Int { bindLocal(name) }
    override func listen(_ backlog: Int) -> Int { beginListening(backlog) }
    override func accept(flags: UInt64) -> (result: Int, socket: SocketDescription?) { acceptPending(flags: flags) }
    override func connect(_ name: UnsafeRawBufferPointer) -> Int { connectPeer(name) }
    override func send(_ source: inout WriteSource, flags: Int32, to name: UnsafeRawBufferPointer?) -> Int {
        sendBytes(&source, flags: flags, to: name)
    }
    override func receive(_ target: inout ReadTarget, flags: Int32) -> Received { receiveBytes(&target, flags: flags) }

    // MARK: Readiness

    /// unix_writable. The kernel's count of memory begins at 1.
    var isWritableNow: Bool { state != .listening && (writeMemory + 1) << 2 <= options.sendBuffer }
    /// unix_recvq_full.
    var isQueueFull: Bool { (state == .listening ? pending.count : queue.count) > backlog }

    override var readyEvents: UInt32 {
        var events: UInt32 = 0
        if pendingError != 0 { events |= CK_POLLERR }
        if isReceivingShut && isSendingShut { events |= CK_POLLHUP }
        if isReceivingShut { events |= CK_POLLRDHUP | CK_POLLIN | CK_POLLRDNORM }
        if !queue.isEmpty || !pending.isEmpty { events |= CK_POLLIN | CK_POLLRDNORM }
        if isConnectionBased, state == .unconnected { events |= CK_POLLHUP }
        if isWritableNow, !isPeerFull { events |= CK_POLLOUT | CK_POLLWRNORM | CK_POLLWRBAND }
        return events
    }

    /// unix_dgram_poll: a datagram socket is not writable while its peer, which is another's or nobody's, has no room.
    private var isPeerFull: Bool {
        guard !isStream, let peer, peer.peer !== self else { return false }
        return peer.isQueueFull
    }

    override var availableCount: Int? {
        guard state != .listening else { return -Int(EINVAL) }
        return isConnectionBased ? queue.reduce(0) { $0 + $1.count } : queue.first?.count ?? 0
    }

    // MARK: Ends

    override func shutdown(receiving: Bool, sending: Bool) -> Int {
        isReceivingShut = isReceivingShut || receiving
        isSendingShut = isSendingShut || sending
        if isConnectionBased, let peer {
            peer.isSendingShut = peer.isSendingShut || receiving
            peer.isReceivingShut = peer.isReceivingShut || sending
            peer.readinessChanged()
        }
        readinessChanged()
        return 0
    }

    override func lastClose() { release(isEmbryo: false) }

    /// unix_release_sock. `isEmbryo`: a connection that was never accepted.
    private func release(isEmbryo: Bool) {
        isDead = true
        UnixName.release(self)
        (isReceivingShut, isSendingShut) = (true, true)
        let wasConnected = peer
        peer?.followers.removeAll { $0 === self }
        peer = nil
        state = .unconnected
        if let other = wasConnected, isConnectionBased {
            (other.isReceivingShut, other.isSendingShut) = (true, true)
            if hasUnread || isEmbryo { other.setError(ECONNRESET) }
            other.readinessChanged()
        }
        dropQueue()
        let unaccepted = pending
        pending = []
        for socket in unaccepted { socket.release(isEmbryo: true) }
        readinessChanged()
    }

    /// An empty message at the head does not count: the kernel takes it for out-of-band data that was received.
    private var hasUnread: Bool { queue.count > 1 || queue.first.map { $0.count > 0 } ?? false }

    func dropQueue() {
        let dropped = queue
        queue = []
        for message in dropped { message.sender.free(message.memory) }
        wakeFollowers()
    }

    /// There is room in the queue again.
    func wakeFollowers() { for socket in followers { socket.readinessChanged() } }

    /// A message that this socket has sent was received or dropped.
    func free(_ memory: Int) {
        writeMemory -= memory
        if !isDead { readinessChanged() }
    }
}
