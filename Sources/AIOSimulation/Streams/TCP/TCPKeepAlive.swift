internal import AIOCore
internal import CKernel

/// SO_KEEPALIVE: probes of a peer from which nothing was heard.
struct TCPKeepAlive {
    fileprivate var isRunning = false
    fileprivate var lastHeard: Nanoseconds = 0
    /// Probes without an answer.
    fileprivate var probeCount: Int32 = 0

    mutating func noteSegment(_ now: Nanoseconds) {
        lastHeard = now
        probeCount = 0
    }
}

extension TCPSocket {
    private var isKeptAlive: Bool {
        guard options.isOn(CK_SOL_SOCKET, CK_SO_KEEPALIVE), !isOnLoopback else { return false }
        switch state {
        case .closed, .listening, .synSent, .synReceived, .timeWait: return false
        default: return true
        }
    }

    private func seconds(_ name: Int32, _ initial: Int32) -> Nanoseconds {
        Nanoseconds(options[CK_IPPROTO_TCP, name] ?? initial) * 1_000_000_000
    }

    /// Starts the probes, if the option is set and they do not run.
    func startKeepAlive() {
        guard isKeptAlive, !keepAlive.isRunning else { return }
        keepAlive.isRunning = true
        keepAlive.noteSegment(network.world.now)
        scheduleProbe()
    }

    private func scheduleProbe() {
        let idle = seconds(CK_TCP_KEEPIDLE, 7200)
        let interval = seconds(CK_TCP_KEEPINTVL, 75)
        let due = keepAlive.lastHeard + idle + Nanoseconds(keepAlive.probeCount) * interval
        let number = connection
        network.world.schedule(at: due) { [weak self] in
            guard let self, self.connection == number else { return }
            guard self.isKeptAlive, !self.isPeerReachable else {
                self.keepAlive.isRunning = false
                return
            }
            if self.network.world.now >= self.keepAlive.lastHeard + idle { self.probe() }
            if self.state != .closed { self.scheduleProbe() }
        }
    }

    private func probe() {
        // Unacknowledged data is a probe itself, and has a timer.
        guard !output.isOutstanding else { return keepAlive.noteSegment(network.world.now) }
        guard keepAlive.probeCount < options[CK_IPPROTO_TCP, CK_TCP_KEEPCNT] ?? 9 else {
            network.note(host, "\(name) does not answer")
            return fail(ETIMEDOUT)
        }
        keepAlive.probeCount += 1
        send([.acknowledge, .probe])
    }
}
