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
    init(_ host: SimulatedHost, _ settings: EngineConfiguration, waits: Bool) {
        self.host = host
        work = WorkByHand(settings) { [unowned self] token in
            schedule(token)
        } wait: { [unowned self, unowned host] deadline in
            guard waits else { return false }
            giveUpCancelled()
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

    /// `call` is what the item waited for, if it was executed before.
    private func execute(_ token: Token, after call: BlockedCall? = nil) {
        host.driver.with(host) {
            let outcome = host.working(true) { work.execute(token) }
            if outcome == .gone { call?.giveUp?() }
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
        if host.world.isOff {
            for wait in blocked {
                wait.call.end()
                woken.append(wait)
            }
            blocked = []
        }
        let waits = woken
        woken = []
        for wait in waits { execute(wait.token, after: wait.call) }
    }

    /// Ends the calls of items that were cancelled, as far as the kernel has something to end: only another attempt
    /// tells.
    func giveUpCancelled() {
        for wait in blocked where wait.call.giveUp != nil {
            blocked.removeAll { $0.token == wait.token }
            wait.call.end()
            execute(wait.token, after: wait.call)
        }
    }

    /// What the items wait for.
    var waiting: [String] { blocked.flatMap { $0.call.names } }
}
