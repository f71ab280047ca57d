internal import AIO
internal import AIOCore
internal import Synchronization

/// Drives a simulation on one thread: chooses whose turn it is, and lets time pass when nobody has anything to do.
final class Driver: @unchecked Sendable {
    // @unchecked: the simulation's thread alone uses it, but for `foreign` and `thread`.

    let world: World
    let latency: Latency
    private(set) var hosts: [SimulatedHost] = []
    private let thread = Kernel.currentThread()
    /// What another thread enqueued, which a simulation cannot repeat.
    private let hasForeign = Atomic<Bool>(false)
    private(set) var stepCount: UInt64 = 0

    init(_ world: World, _ latency: Latency) {
        self.world = world
        self.latency = latency
    }

    var isCurrent: Bool { thread == Kernel.currentThread() }

    func addHost(_ name: String, _ configuration: IORuntime.Configuration) throws -> SimulatedHost {
        let host = try SimulatedHost(name, self, configuration)
        hosts.append(host)
        return host
    }

    /// Runs `body` as a host: its system calls and its clock are the host's.
    func with<R, E: Error>(_ host: SimulatedHost, _ body: () throws(E) -> R) throws(E) -> R {
        let before = CurrentHost.value
        CurrentHost.set(host)
        defer { CurrentHost.set(before) }
        return try body()
    }

    /// A job from another thread. It is dropped: the task never goes on, and the simulation ends with an error.
    func addForeign(_ job: UnownedJob, _ host: SimulatedHost) {
        // Relaxed: the driver looks at it again before it ends.
        hasForeign.store(true, ordering: .relaxed)
    }

    /// Why a simulation cannot go on.
    enum End: Equatable {
        /// `isDone` said so.
        case done
        /// Nothing is left that could happen: every task waits for another.
        case deadlock
        /// A thread outside of the simulation resumed one of its tasks.
        case foreignThread
        case stepLimit
    }

    /// Runs until `isDone`.
    func run(stepLimit: UInt64 = .max, until isDone: () -> Bool) -> End {
        while !isDone() {
            if stepCount >= stepLimit { return .stepLimit }
            if hasForeign.load(ordering: .relaxed) { return .foreignThread }
            let runnable = hosts.filter(\.canRun)
            guard runnable.isEmpty else {
                stepCount += 1
                runnable[runnable.count == 1 ? 0 : world.random.below(runnable.count)].step()
                continue
            }
            guard letTimePass() else { return .deadlock }
        }
        return .done
    }

    /// Cancels what the hosts have in flight, lets their tasks end, and takes the hosts down.
    func endHosts() {
        for host in hosts { with(host) { host.loop.beginShutdown(.cancel) {} } }
        _ = run { hosts.allSatisfy { $0.isEnded && !$0.executor.hasJobs } }
        hosts = []
    }

    /// The operations that are in flight, for the message about a deadlock.
    var waitingOperations: String {
        hosts.map { "\($0.name) has \($0.runtime.inFlightCount) operations in flight" }.joined(separator: ", ")
    }

    /// False if there is nothing to wait for.
    private func letTimePass() -> Bool {
        let deadline = hosts.reduce(Nanoseconds.never) { min($0, $1.nextDeadline) }
        let event = world.nextEvent
        guard min(deadline, event) != .never else { return false }
        if event <= deadline { world.runNextEvent() } else { world.advance(to: deadline) }
        for host in hosts { host.needsTurn = true }
        return true
    }
}
