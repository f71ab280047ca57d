internal import AIOCore
internal import CKernel

/// The retransmission timer of a connection: one event of the world at most.
struct TCPTimer {
    /// Distinguishes a running timer from those that were stopped.
    fileprivate var number = 0
    fileprivate var isRunning = false
    /// When something was acknowledged, or sent after a pause.
    fileprivate var lastProgress: Nanoseconds = 0
    /// How long the timer runs; it doubles with each retransmission. 0 after an acknowledgement.
    fileprivate var delay: Nanoseconds = 0
    /// Whether something was acknowledged since the timer was set.
    fileprivate var hasProgressed = false
}

extension TCPSocket {
    private var isConnecting: Bool { state == .synSent || state == .synReceived }

    /// Starts the timer, unless it runs.
    func startTimer() {
        // On loopback nothing gets lost but a SYN for a listener whose backlog is full.
        guard !timer.isRunning, !isOnLoopback || isConnecting else { return }
        timer.isRunning = true
        timer.lastProgress = network.world.now
        timer.delay = 0
        scheduleTimer()
    }

    func stopTimer() {
        timer.number += 1
        timer.isRunning = false
    }

    func noteProgress() {
        timer.lastProgress = network.world.now
        timer.hasProgressed = true
    }

    private func scheduleTimer() {
        let first = isConnecting ? 1_000_000_000 : resendDelay
        timer.delay = timer.delay == 0 ? first : min(timer.delay * 2, 120_000_000_000)
        timer.hasProgressed = false
        let number = timer.number
        // Weak: a connection that has ended is not kept for its timer.
        network.world.schedule(after: timer.delay) { [weak self] in
            guard let self, self.timer.number == number, self.timer.isRunning else { return }
            self.timerFired()
            self.network.deliverLoopback()
        }
    }

    private func timerFired() {
        guard isConnecting || output.isOutstanding else {
            timer.isRunning = false
            return
        }
        if isWindowClosed, isPeerReachable {
            timer.isRunning = false
            return
        }
        if timer.hasProgressed {
            timer.delay = 0
            return scheduleTimer()
        }
        let waited = network.world.now - timer.lastProgress
        guard waited < timeout else {
            network.note(host, "\(name) timed out")
            return fail(ETIMEDOUT)
        }
        scheduleTimer()
        resend()
    }

    private var isWindowClosed: Bool { output.windowEnd <= output.acknowledged && !output.queue.isEmpty }

    /// Whether the peer answers, if it is asked often enough. Then nothing has to be asked: a simulation in which all
    /// wait for each other has no more events, and its end can be told.
    var isPeerReachable: Bool {
        guard let local, let remote, let peer = network.host(with: remote.address), peer.isUp else { return false }
        guard !network.link(host, peer).isCut, !network.link(peer, host).isCut else { return false }
        return peer.tcp.connection(remote, local)?.connection == connection
    }

    /// The network has changed: the peer may be gone.
    func reachabilityChanged() {
        if output.isOutstanding { startTimer() }
        startKeepAlive()
    }

    private var timeout: Nanoseconds {
        if isConnecting { return network.connectTimeout }
        let userTimeout = options.userTimeout
        return userTimeout > 0 ? Nanoseconds(userTimeout) * 1_000_000 : network.dataTimeout
    }

    private func resend() {
        switch state {
        case .synSent: send(.synchronize)
        case .synReceived: send([.synchronize, .acknowledge])
        default:
            output.sent = output.acknowledged
            output.isFinishSent = false
            output.recoveryEnd = output.acknowledged
            // A closed window is no fault of the peer: its answers to the probes are progress.
            if isWindowClosed {
                return send([.acknowledge, .probe])
            }
            transmit()
        }
    }

    private var resendDelay: Nanoseconds {
        guard let remote, let peer = network.host(with: remote.address) else { return 1_000_000_000 }
        return max(network.link(host, peer).retransmissionDelay, network.link(peer, host).retransmissionDelay)
    }
}
