import AIOCore
import CKernel

/// One run of a loop that is turned by hand, over an engine that completes what it has in any order. Other threads
/// stage, cancel, wake and shut down between any two steps of the loop, also between its last look and its sleep.
final class LoopSimulation: SimulatedWorld, @unchecked Sendable {
    // @unchecked: two threads take turns (`OtherThread`).

    /// What is known of one operation, by its context.
    struct Item {
        var token = Token(rawValue: 0)
        var isStaged = false
        var isCancelAsked = false
        var isOver = false
        var isRelease = false
        var isRepeating = false
        /// When its deadline or its timer is due.
        var deadline = Nanoseconds.never
        /// The result of the engine.
        var result: Int32?
    }

    var random: StepRandom
    var failure: String?
    let configuration: EngineConfiguration
    private(set) var loop: Loop<LoopSimulationClient>?
    let other = OtherThread()

    // MARK: The engine

    var active: [Token] = []
    var completions: [Completion] = []
    var isWoken = false
    var engineIsGone = false
    var isAsleep = false

    // MARK: The model

    /// By context; 0 names none.
    var items = [Item()]
    /// Operations that are prepared and not staged.
    var prepared: [Int] = []
    var openCount = 0
    /// Whether there is news that the loop has not seen, so that it must not sleep.
    var hasNews = false
    var jobCount = 0
    var shutdownIsAsked = false
    var isCancelling = false
    var endCount = 0
    var isQuiet = false

    override init(seed: UInt64) {
        var random = StepRandom(seed: seed, step: -1)
        var configuration = EngineConfiguration(
            queueDepth: 1 + random.below(6), workerLimit: 1, hasDedicatedThread: true)
        if random.isOne(in: 2) { configuration.waitingLimit = 1 + random.below(4) }
        self.configuration = configuration
        self.random = random
        let kind = EngineKind.allCases[Int(seed % 4)]
        super.init(seed: seed)
        now = 1_000_000
        let queue = EngineQueue(LoopSimulationEngine(self), as: kind, configuration)
        loop = Loop(byHand: queue, configuration, LoopSimulationClient(self))
    }

    func check(_ holds: Bool, _ reason: @autoclosure () -> String) {
        guard !holds, failure == nil else { return }
        failure = "step \(step): " + reason()
        tell("FAILED: " + (failure ?? ""))
    }

    /// The client and the engine know the simulation, and the loop them.
    func end() {
        other.end()
        loop = nil
    }

    // MARK: The engine's part

    func enter(atLeast count: Int, until deadline: Nanoseconds) {
        tell("  engine: enter for \(count)")
        completeSome()
        guard count > 0 else { return }
        isAsleep = true
        defer { isAsleep = false }
        for _ in 0..<64 where failure == nil {
            if completions.count >= count || now >= deadline { return }
            if isWoken { return isWoken = false }
            check(!hasNews, "the loop sleeps though there is news for it: a lost wake-up")
            actElsewhere()
            if random.isOne(in: 3) { completeSome() }
            if deadline != .never { now = min(deadline, now + 1 + random.nanoseconds(below: 200_000)) }
        }
    }

    private func completeSome() {
        while !active.isEmpty, isQuiet || random.isOne(in: 2) {
            let token = active.remove(at: random.below(active.count))
            complete(token, isQuiet ? 0 : [0, 1, 1, -EIO][random.below(4)])
        }
    }

    func complete(_ token: Token, _ result: Int32) {
        let index = items.firstIndex { $0.token == token && $0.isStaged && !$0.isOver }
        guard let index else { return check(false, "the engine has an operation that is over") }
        items[index].result = result
        completions.append(Completion(token, result: result))
    }

    func requestCancel(_ token: Token) {
        guard let index = active.firstIndex(of: token), random.isOne(in: 2) || isQuiet else { return }
        active.remove(at: index)
        complete(token, -ECANCELED)
    }
}

/// The engine of a simulated loop.
struct LoopSimulationEngine: Engine, ~Copyable {
    private let simulation: LoopSimulation

    init(_ simulation: LoopSimulation) { self.simulation = simulation }

    deinit { simulation.engineIsGone = true }

    var descriptor: Int32 { -1 }
    mutating func stage(_ operation: Operation, _ token: Token) {
        simulation.check(!simulation.active.contains(token), "an operation is staged twice")
        simulation.active.append(token)
    }
    mutating func requestCancel(_ token: Token) { simulation.requestCancel(token) }
    mutating func enter(atLeast count: Int, until deadline: Nanoseconds) {
        simulation.enter(atLeast: count, until: deadline)
    }
    mutating func drain(into buffer: UnsafeMutableBufferPointer<Completion>) -> Int {
        simulation.isWoken = false
        let count = min(buffer.count, simulation.completions.count)
        for index in 0..<count { buffer.initializeElement(at: index, to: simulation.completions[index]) }
        simulation.completions.removeFirst(count)
        return count
    }
    func wake() {
        simulation.check(!simulation.engineIsGone, "a wake-up after the end of the engine")
        simulation.isWoken = true
    }
    mutating func exportDescriptor() {}
    mutating func register(files: UnsafeBufferPointer<Int32>) -> Int { 0 }
    mutating func unregisterFiles() -> Int { 0 }
    mutating func register(buffers: UnsafeBufferPointer<iovec>) -> Int { 0 }
    mutating func unregisterBuffers() -> Int { 0 }
}

/// The client of a simulated loop.
final class LoopSimulationClient: LoopClient {
    // The simulation outlives its loop.
    private unowned let simulation: LoopSimulation

    init(_ simulation: LoopSimulation) { self.simulation = simulation }

    func deliver(_ deliveries: UnsafeBufferPointer<Delivery>) {
        for delivery in deliveries { simulation.take(delivery) }
    }

    func runJobs() -> Bool { simulation.runJobs() }

    /// Comes after the loop's announcement that it falls asleep: the worst moment.
    func hasJobs() -> Bool {
        simulation.actElsewhere()
        return simulation.jobCount > 0
    }

    /// Asked last before the sleep.
    var nextDeadline: Nanoseconds {
        if simulation.isAtTheDoor { simulation.actElsewhere() }
        return .never
    }
    func expire(_ now: Nanoseconds) {}
    func loopEnded() { simulation.loopEnded() }
}
