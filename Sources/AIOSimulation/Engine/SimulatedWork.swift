internal import AIOCore

/// The work of one queue on a host: each item is executed after a while, so that operations end in any order. An item
/// that would block is tried again when what it waits for has changed.
final class SimulatedWork {
    private unowned let host: SimulatedHost
    private(set) var work: WorkByHand!
    /// The items that wait, in the order in which they began.
    private var blocked: [(token: Token, call: BlockedCall)] = []
    /// Those whose wait is over.
    private var woken: [(token: Token, call: BlockedCall)] = []

    /// `waits`: a thread that finds nothing to do waits in the queue, as in an `IOQueue`, while the world goes on.
    init(_ host: SimulatedHost, _ settings: EngineConfiguration, waits: Bool) throws(EngineFailure) {
        self.host = host
        work = try WorkByHand(settings) { [unowned self] token in
            schedule(token)
        } cancelled: { [unowned self] token in
            self.abandon(token)
        } wait: { [unowned host] deadline in
            guard waits else { return false }
            if let goesOn = host.driver.wait(until: deadline) { return goesOn }
            host.driver.endStuckWait()
            return true
        }
    }

    deinit {
        for wait in blocked { wait.call.end() }
    }

    private func schedule(_ token: Token) {
        let delay = host.driver.latency.delay(&host.world.random)
        host.world.schedule(after: delay) { [weak self] in self?.execute(token) }
    }

    /// `call` is the one in which the item waited before; nil if it begins.
    private func execute(_ token: Token, after call: BlockedCall? = nil) {
        host.driver.with(host) {
            host.kernel.resumed = call?.hung
            let outcome = host.working(true, on: work.work(of: token)) { work.execute(token) }
            host.kernel.resumed = nil
            guard outcome == .blocked else {
                host.needsTurn = true
                return
            }
            blocked.append((token, BlockedCall(host.kernel) { [unowned self] in self.wake(token) }))
        }
    }

    private func wake(_ token: Token) {
        guard let index = blocked.firstIndex(where: { $0.token == token }) else { return }
        woken.append(blocked.remove(at: index))
        host.needsTurn = true
    }

    /// Tries again what waits no longer; with the power off, everything, which then fails.
    func retryBlocked() {
        if host.kernel.isOff {
            for wait in blocked {
                wait.call.end()
                woken.append(wait)
            }
            blocked = []
        }
        // Not those that are woken meanwhile. One may be cancelled by another.
        var left = woken.count
        while left > 0, !woken.isEmpty {
            let wait = woken.removeFirst()
            execute(wait.token, after: wait.call)
            left -= 1
        }
    }

    /// Ends the call of an item that was cancelled.
    private func abandon(_ token: Token) {
        let cancelled = (blocked + woken).filter { $0.token == token }
        blocked.removeAll { $0.token == token }
        woken.removeAll { $0.token == token }
        for wait in cancelled { wait.call.abandon() }
    }

    /// What the items wait for.
    var waiting: [String] { blocked.flatMap { $0.call.names } }
}
