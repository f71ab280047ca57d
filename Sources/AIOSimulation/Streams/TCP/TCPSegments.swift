internal import AIOCore
internal import CKernel

// The segments of a connection: what it sends, and what it does with what arrives.
extension TCPSocket {
    // MARK: Sending

    func send(_ flags: TCPSegment.Flags, sequence: Int? = nil, data: [UInt8] = []) {
        guard let local, let remote else { return }
        var segment = TCPSegment(connection: connection, flags: flags, sequence: sequence ?? output.sent, data: data)
        segment.acknowledged = input.next
        segment.windowEnd = input.windowEnd
        input.announcedEnd = segment.windowEnd
        let packet = Packet(source: local, destination: remote, content: .segment(segment))
        if let arrival = network.send(packet, from: host, notBefore: output.lastArrival) {
            output.lastArrival = arrival
        }
    }

    /// Sends what the peer has room for, and the FIN after the last byte.
    func transmit() {
        guard state != .synSent, state != .synReceived, state != .closed, state != .listening else { return }
        let size = segmentSize
        while output.sent < min(output.end, output.windowEnd) {
            let count = min(size, min(output.end, output.windowEnd) - output.sent)
            let data = Array(output.queue.slice(output.sent - output.acknowledged, count))
            let isLast = output.sent + count == output.end && output.endsAfterQueue
            send(isLast ? [.acknowledge, .finish] : .acknowledge, data: data)
            output.sent += count
            if isLast { output.isFinishSent = true }
        }
        if output.endsAfterQueue, !output.isFinishSent, output.sent == output.end {
            send([.acknowledge, .finish])
            output.isFinishSent = true
        }
        if output.isOutstanding { startTimer() }
    }

    private var segmentSize: Int {
        guard let remote, !host.owns(remote.address) else { return 65483 }
        return network.host(with: remote.address).map { network.link(host, $0).segmentSize } ?? 1448
    }

    /// Tells the peer that there is room again, once that is worth a segment.
    func announceWindow() {
        let isOpen = state == .established || state == .finWait1 || state == .finWait2
        guard isOpen, input.windowEnd - input.announcedEnd >= min(input.capacity / 2, segmentSize) else { return }
        send([.acknowledge, .window])
    }

    // MARK: Receiving

    func receive(_ segment: TCPSegment) {
        keepAlive.noteSegment(network.world.now)
        if segment.flags.contains(.reset) { return resetByPeer() }
        switch state {
        case .closed, .listening: return
        case .synSent: return receiveAnswer(segment)
        default: break
        }
        if segment.flags.contains(.synchronize) {
            // Sent again, because the answer to it was lost.
            return send(state == .synReceived ? [.synchronize, .acknowledge] : .acknowledge)
        }
        if state == .synReceived { becomeAcceptable() }
        guard state != .closed else { return }
        receiveAcknowledgement(segment)
        receiveData(segment)
    }

    /// The answer to a SYN.
    private func receiveAnswer(_ segment: TCPSegment) {
        // Its own SYN reaches a socket that connects to its own name: a simultaneous open.
        guard segment.flags.contains(.synchronize) else { return }
        output.windowEnd = segment.windowEnd
        move(to: .established)
        startKeepAlive()
        send(.acknowledge)
        transmit()
    }

    private func receiveAcknowledgement(_ segment: TCPSegment) {
        let hasMoreRoom = segment.windowEnd > output.windowEnd
        output.windowEnd = max(output.windowEnd, segment.windowEnd)
        let finish = output.end + 1
        if segment.acknowledged > output.acknowledged {
            noteProgress()
            let bytes = min(segment.acknowledged, output.end) - output.acknowledged
            output.queue.removeFirst(bytes)
            output.acknowledged += bytes
            output.sent = max(output.sent, output.acknowledged)
            if output.endsAfterQueue, segment.acknowledged == finish { finishAcknowledged() }
            readinessChanged()
        } else if segment.data.isEmpty, segment.acknowledged == output.acknowledged,
            output.windowEnd <= output.acknowledged
        {
            // The answer to a probe of a closed window.
            noteProgress()
        } else if segment.data.isEmpty, !segment.flags.contains(.finish), !hasMoreRoom {
            repairLoss(segment)
        }
        if state != .timeWait { transmit() }
    }

    /// An acknowledgement of nothing new says that a segment is missing: segments do not overtake each other.
    private func repairLoss(_ segment: TCPSegment) {
        guard segment.flags == .acknowledge, segment.acknowledged == output.acknowledged,
            output.sent > output.acknowledged, output.acknowledged >= output.recoveryEnd, !isOnLoopback
        else { return }
        output.recoveryEnd = output.sent
        output.sent = output.acknowledged
        output.isFinishSent = false
    }

    var isOnLoopback: Bool { remote.map { host.owns($0.address) } ?? true }

    private func finishAcknowledged() {
        (output.endsAfterQueue, output.isFinishSent) = (false, false)
        output.acknowledged += 1
        output.sent = output.acknowledged
        switch state {
        case .finWait1:
            move(to: .finWait2)
            if isDead { expire() }
        case .closing: wait()
        case .lastAck: move(to: .closed)
        default: break
        }
    }

    /// TIME_WAIT: the port stays taken, and the socket itself is closed for its program.
    private func wait() {
        (isReceivingShut, isSendingShut) = (true, true)
        move(to: .timeWait)
        expire()
    }

    private func receiveData(_ segment: TCPSegment) {
        let hasEnd = segment.flags.contains(.finish)
        guard !segment.data.isEmpty || hasEnd else {
            if segment.flags.contains(.probe) { send(.acknowledge) }
            return
        }
        let known = input.next - segment.sequence
        guard known >= 0, !isDone, known < segment.data.count || hasEnd else { return send(.acknowledge) }
        let isRefused = isReceivingShut && (isDead || state == .finWait1 || state == .finWait2)
        if isRefused, known < segment.data.count {
            // Data for a closed socket (TCPABORTONDATA).
            send(.reset)
            return fail(ECONNRESET)
        }
        let new = segment.data.dropFirst(known)
        let fitting = new.prefix(max(0, input.windowEnd - input.next))
        input.queue.append(fitting)
        input.next += fitting.count
        if hasEnd, fitting.count == new.count { receiveEnd() }
        if state != .closed { send(.acknowledge) }
        readinessChanged()
    }

    /// tcp_fin.
    private func receiveEnd() {
        input.next += 1
        isReceivingShut = true
        isDone = true
        switch state {
        case .established: move(to: .closeWait)
        case .finWait1: move(to: .closing)
        case .finWait2: wait()
        default: break
        }
    }
}
