internal import AIOCore
internal import CKernel

extension TCPSocket {
    // MARK: Sending

    /// tcp_sendmsg. An address is ignored.
    func sendBytes(_ source: inout WriteSource, flags: Int32, to name: UnsafeRawBufferPointer?) -> Int {
        if state != .established, state != .closeWait {
            // sk_stream_wait_connect.
            let error = takeError()
            guard error == 0 else { return error }
            guard state == .synSent || state == .synReceived else { return -Int(EPIPE) }
            return blocked(flags.isWithoutWaiting)
        }
        guard pendingError == 0, !isSendingShut else {
            let error = takeError()
            return error != 0 ? error : -Int(EPIPE)
        }
        guard source.remaining > 0 else { return 0 }
        let count = min(source.remaining, output.room)
        guard count > 0 else { return blocked(flags.isWithoutWaiting) }
        output.queue.append(source.take(count))
        transmit()
        return count
    }

    // MARK: Receiving

    /// tcp_recvmsg.
    func receiveBytes(_ target: inout ReadTarget, flags: Int32) -> Received {
        guard state != .listening else { return Received(result: -Int(ENOTCONN)) }
        guard !input.queue.isEmpty else { return Received(result: receiveNothing(flags)) }
        let isBlocking = !flags.isWithoutWaiting && !isNonBlocking
        let isEnding = isReceivingShut || pendingError != 0 || state == .closed
        // A call that waits for all of it takes nothing before; but not if there is no room for the rest.
        if isBlocking, flags.isWaitingForAll, input.queue.count < min(target.room, input.capacity / 2), !isEnding {
            return Received(result: blocked())
        }
        let count: Int
        if flags & CK_MSG_TRUNC != 0, !flags.isPeek {
            // tcp(7): the bytes are discarded.
            count = min(target.room, input.queue.count)
            input.queue.removeFirst(count)
        } else {
            count = input.queue.read(into: &target, isPeek: flags.isPeek)
        }
        if !flags.isPeek { announceWindow() }
        return Received(result: count)
    }

    /// The result of a receive without data.
    private func receiveNothing(_ flags: Int32) -> Int {
        if isDone { return 0 }
        let error = takeError()
        guard error == 0 else { return error }
        if isReceivingShut { return 0 }
        if state == .closed { return -Int(ENOTCONN) }
        return blocked(flags.isWithoutWaiting)
    }

    // MARK: Ends

    /// inet_shutdown.
    func shut(receiving: Bool, sending: Bool) -> Int {
        if connecting == .connecting {
            let isUnfinished = state == .synSent || state == .synReceived || state == .closed
            connecting = isUnfinished ? .disconnecting : .connected
        }
        switch state {
        case .closed, .timeWait:
            markShut(receiving, sending)
            return -Int(ENOTCONN)
        case .listening:
            // inet_shutdown leaves a listener as it is unless the receiving side is shut down.
            guard receiving else { return 0 }
            stopListening()
            move(to: .closed)
            (isReceivingShut, isSendingShut) = (false, false)
        case .synSent:
            disconnect()
        default:
            markShut(receiving, sending)
            if sending { finishSending() }
        }
        readinessChanged()
        return 0
    }

    private func markShut(_ receiving: Bool, _ sending: Bool) {
        isReceivingShut = isReceivingShut || receiving
        isSendingShut = isSendingShut || sending
        readinessChanged()
    }

    /// tcp_close_state: a FIN follows the data that was sent.
    func finishSending() {
        switch state {
        case .established, .synReceived: move(to: .finWait1)
        case .closeWait: move(to: .lastAck)
        default: return
        }
        output.endsAfterQueue = true
        transmit()
    }

    /// tcp_close. A close does not wait for SO_LINGER: what is to be sent is sent in the background.
    func closeLast() {
        isDead = true
        let hasUnread = !input.queue.isEmpty
        (isReceivingShut, isSendingShut) = (true, true)
        switch state {
        case .listening:
            stopListening()
            move(to: .closed)
        case .closed:
            if hasPort, let local { giveBackPort(local) }
        case .synSent: move(to: .closed)
        case .timeWait: break
        default:
            if hasUnread || options.linger.is_on != 0 && options.linger.seconds == 0 {
                send(.reset)
                move(to: .closed)
            } else {
                finishSending()
                // What is unfinished for long is forgotten (tcp_fin_timeout).
                if state == .finWait2 { expire() }
            }
        }
        input.queue.removeAll()
    }

    /// Ends the state that the socket is in after a time, unless it has left it.
    func expire() {
        let (ended, number) = (state, connection)
        network.world.schedule(after: network.closedTimeout) { [weak self] in
            guard let self, self.state == ended, self.connection == number, self.isDead || ended == .timeWait else {
                return
            }
            self.move(to: .closed)
        }
    }
}
