internal import AIOCore

/// The work of one queue on a host: each item is executed after a while, so that operations end in any order. An item
/// that would block is tried again whenever something has happened.
final class SimulatedWork {
    private unowned let host: SimulatedHost
    private(set) var work: WorkByHand!
    private var blocked: [Token] = []

    /// `waits`: a thread that finds nothing to do waits in the queue, as in an `IOQueue`, while the world goes on.
    init(_ host: SimulatedHost, _ settings: EngineConfiguration, waits: Bool) {
        self.host = host
        work = WorkByHand(settings) { [unowned self] token in
            schedule(token)
        } wait: { [unowned host] deadline in
            guard waits else { return false }
            if let goesOn = host.driver.wait(on: host, until: deadline) { return goesOn }
            host.driver.endStuckWait()
            return true
        }
    }

    private func schedule(_ token: Token) {
        let delay = host.driver.latency.delay(&host.world.random)
        host.world.schedule(after: delay) { [weak self] in self?.execute(token) }
    }

    private func execute(_ token: Token) {
        host.driver.with(host) {
            if work.execute(token) == .blocked { blocked.append(token) }
        }
        host.needsTurn = true
    }

    func retryBlocked() {
        guard !blocked.isEmpty else { return }
        let tokens = blocked
        blocked = []
        for token in tokens { execute(token) }
    }
}
