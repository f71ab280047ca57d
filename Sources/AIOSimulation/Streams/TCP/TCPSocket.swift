internal import AIOCore
internal import CKernel

/// A TCP socket, and the end of a connection (net/ipv4/tcp.c). It outlives its descriptors until the connection has
/// ended.
final class TCPSocket: SocketDescription, PortOwner {
    /// RFC 9293.
    enum State {
        case closed, listening, synSent, synReceived, established, closeWait
        case finWait1, finWait2, closing, lastAck, timeWait
    }

    /// What connect(2) is about to answer (struct socket's state).
    enum Connecting { case unconnected, connecting, connected, disconnecting }

    unowned let host: NetworkHost
    var state = State.closed
    var connecting = Connecting.unconnected
    var local: Endpoint?
    var remote: Endpoint?
    /// Whether the port of `local` is the socket's. After the end of a connection it is only remembered, unless the
    /// program has chosen it (SOCK_BINDPORT_LOCK).
    var hasPort = false
    var isPortChosen = false
    /// The address that the program has chosen (SOCK_BINDADDR_LOCK).
    var boundAddress: NetworkAddress?
    var connection: UInt64 = 0
    /// Whether the last descriptor was closed.
    var isDead = false
    /// SOCK_DONE: a FIN has arrived.
    var isDone = false

    // As a listener.
    var backlog = 0
    var pending: [TCPSocket] = []
    /// Connections that have not been acknowledged.
    var embryoCount = 0
    /// The listener of a connection that was not accepted.
    weak var listener: TCPSocket?

    var output = TCPOutput()
    var input = TCPInput()
    var timer = TCPTimer()
    var keepAlive = TCPKeepAlive()

    override init(_ kernel: SimulatedKernel, domain: Int32, type: Int32, protocolNumber: Int32, flags: UInt64) {
        host = kernel.node
        super.init(kernel, domain: domain, type: type, protocolNumber: protocolNumber, flags: flags)
        options.sendBuffer = TCPOutput.initialBuffer
        options.receiveBuffer = TCPInput.initialBuffer
    }

    var network: SimulatedNetwork { host.network }

    // MARK: Names

    override var name: String { remote.map { "tcp \($0)" } ?? local.map { "tcp \($0)" } ?? "tcp" }
    override var isListening: Bool { state == .listening }
    /// As the program sees it: in TIME_WAIT the kernel keeps a remnant of the socket alone.
    var isClosed: Bool { state == .closed || state == .timeWait }
    override var isBound: Bool { hasPort }
    var isSharedExclusively: Bool { isListening }

    override var localName: [UInt8] { (local ?? unspecified).name(domain) }
    override var peerName: [UInt8]? {
        guard let remote, !isClosed, state != .synSent else { return nil }
        return remote.name(domain)
    }
    override var acceptedName: [UInt8] { remote?.name(domain) ?? [] }

    var unspecified: Endpoint { Endpoint(domain == CK_AF_INET ? .anyV4 : .anyV6, 0) }

    // MARK: Calls, which are extensions

    override func bind(_ name: UnsafeRawBufferPointer) -> Int { bindLocal(name) }
    override func listen(_ backlog: Int) -> Int { beginListening(backlog) }
    override func accept(flags: UInt64) -> (result: Int, socket: SocketDescription?) { acceptPending(flags: flags) }
    override func connect(_ name: UnsafeRawBufferPointer) -> Int { connectStream(name) }
    override func send(_ source: inout WriteSource, flags: Int32, to name: UnsafeRawBufferPointer?) -> Int {
        sendBytes(&source, flags: flags, to: name)
    }
    override func receive(_ target: inout ReadTarget, flags: Int32) -> Received { receiveBytes(&target, flags: flags) }
    override func shutdown(receiving: Bool, sending: Bool) -> Int { shut(receiving: receiving, sending: sending) }
    override func lastClose() { closeLast() }

    // MARK: Readiness

    /// tcp_poll.
    override var readyEvents: UInt32 {
        if state == .listening { return pending.isEmpty ? 0 : CK_POLLIN | CK_POLLRDNORM }
        var events: UInt32 = 0
        if state == .closed || isReceivingShut && isSendingShut { events |= CK_POLLHUP }
        if isReceivingShut { events |= CK_POLLIN | CK_POLLRDNORM | CK_POLLRDHUP }
        if state != .synSent {
            if !input.queue.isEmpty { events |= CK_POLLIN | CK_POLLRDNORM }
            if isSendingShut || output.isWritable { events |= CK_POLLOUT | CK_POLLWRNORM }
        }
        if pendingError != 0 { events |= CK_POLLERR }
        return events
    }

    override var availableCount: Int? { state == .listening ? -Int(EINVAL) : input.queue.count }

    // MARK: Changes of state

    func move(to new: State) {
        guard new != state else { return }
        state = new
        if new == .closed { leavePort() }
        readinessChanged()
    }

    private func leavePort() {
        stopTimer()
        guard let local else { return }
        if let remote { host.tcp.removeConnection(self, local, remote) }
        if hasPort, !isPortChosen || isDead { giveBackPort(local) }
    }

    func take(_ endpoint: Endpoint) {
        if !hasPort { host.tcp.ports.add(self, endpoint.port) }
        hasPort = true
        local = endpoint
    }

    func giveBackPort(_ endpoint: Endpoint) {
        host.tcp.ports.remove(self, endpoint.port)
        hasPort = false
    }

    /// tcp_done: the connection has ended, and both directions with it.
    func end() {
        (isReceivingShut, isSendingShut) = (true, true)
        output.queue.removeAll()
        move(to: .closed)
        readinessChanged()
    }

    /// The peer has sent RST, or would.
    func resetByPeer() { fail(ECONNRESET) }

    /// tcp_reset: what was received can still be read, and then the error.
    func fail(_ error: Int32) {
        guard state != .listening else { return }
        let reported: Int32? =
            switch state {
            case .synSent: error == ECONNRESET ? ECONNREFUSED : error
            case .closeWait: error == ECONNRESET ? EPIPE : error
            case .closed, .timeWait: nil
            default: error
            }
        if state == .synReceived { listener?.embryoCount -= 1 }
        if let reported, !isDead { setError(reported) }
        end()
    }

    override func optionsChanged() {
        output.capacity = options.sendBuffer == TCPOutput.initialBuffer ? output.capacity : options.sendBuffer / 2
        input.capacity = options.receiveBuffer / 2
        announceWindow()
        startKeepAlive()
    }

    /// The host has crashed: nothing is sent any more.
    func vanish() {
        stopTimer()
        state = .closed
        hasPort = false
        local = nil
        remote = nil
    }
}
