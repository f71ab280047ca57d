public import AIO
public import AIOCore

/// What a simulation is made of, besides its seed.
public struct SimulationOptions: Sendable {
    /// The limits of each host's runtime.
    public var runtime = IORuntime.Configuration()
    /// How long the disks take.
    public var latency = Latency()
    /// What is on the disk at the beginning; nil for an empty one.
    public var disk: SimulatedDisk?
    /// When the power goes off; nil for never. The result is then ``SimulationError/Reason/crashed``.
    public var crash: SimulatedCrash?
    /// What goes wrong on the body's host.
    public var faults: [SimulatedFault] = []
    /// The number of steps (jobs of tasks, turns of loops) after which the simulation ends with an error.
    public var stepLimit: UInt64 = 100_000_000
    /// Whether the trace keeps its lines (`SimulationReport.story`), and not only their hash.
    public var keepsStory = false

    /// An empty disk, no faults, no crash.
    public init() {}
}

/// What came of a simulation.
public struct SimulationReport<Value: Sendable>: Sendable {
    /// The seed of the run.
    public let seed: UInt64
    /// What the body returned or threw, or a ``SimulationError``.
    public let result: Result<Value, any Error>
    /// A hash of everything that happened, in order: equal in two runs of the same seed, program and options.
    public let traceHash: UInt64
    /// How much time passed on the virtual clock, in nanoseconds.
    public let elapsed: Nanoseconds
    /// The number of jobs of tasks and turns of loops.
    public let stepCount: UInt64
    /// The number of system calls of all hosts, but for those of their engines.
    public let callCount: Int
    /// What went wrong on the body's host, in order.
    public let faults: [InjectedFault]
    /// What is on the disk: everything that was written, or after a crash what survived it.
    public let disk: SimulatedDisk
    /// What happened, one line each; empty unless `SimulationOptions.keepsStory` is set.
    public let story: [String]
}

/// Runs `body` in a simulated world: on one thread, on a virtual clock, against simulated files and a simulated
/// network, with every choice made by `seed`. The same seed, program and options give the same run.
///
/// Within `body`, ``IORuntime/shared`` is the simulated host's runtime, so code that uses `AIO` runs unchanged. Tasks
/// run on the simulation's thread: child tasks, actors without an executor of their own, `Task { }` and
/// `Task.sleep(nanoseconds:)` included. Time passes when every task waits, and slowly while tasks only yield. A thread
/// that waits, in an `IOQueue` or in `blockingShutdown`, lets the other tasks go on.
///
/// Returns what `body` returns, and throws what it throws.
///
/// - Throws: ``SimulationError`` if the body waits for something that cannot happen, or leaves the thread.
public func withSimulation<Value: Sendable>(
    seed: UInt64, options: SimulationOptions = SimulationOptions(),
    _ body: @escaping @Sendable (Simulation) async throws -> Value
) async throws -> Value {
    try await simulate(seed: seed, options: options, body).result.get()
}

/// The same, with faults on the body's host, and otherwise the usual options.
public func withSimulation<Value: Sendable>(
    seed: UInt64, faults: [SimulatedFault], _ body: @escaping @Sendable (Simulation) async throws -> Value
) async throws -> Value {
    var options = SimulationOptions()
    options.faults = faults
    return try await withSimulation(seed: seed, options: options, body)
}

/// The same, with a report. An error is in the report.
public func simulate<Value: Sendable>(
    seed: UInt64, options: SimulationOptions = SimulationOptions(),
    _ body: @escaping @Sendable (Simulation) async throws -> Value
) async throws -> SimulationReport<Value> {
    let run = SimulationRun<Value>(seed: seed, options)
    return try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { run.start(body, $0) }
    } onCancel: {
        run.requestCancel()
    }
}

/// A running simulation, as its body sees it.
public final class Simulation: @unchecked Sendable {
    // @unchecked: its functions are called by tasks of the simulation, which run on one thread; others are refused.

    let driver: Driver
    /// The seed of the run.
    public let seed: UInt64
    private let crashNow: (SimulatedCrash.Rules) -> Void

    init(_ driver: Driver, seed: UInt64, crash: @escaping (SimulatedCrash.Rules) -> Void) {
        self.driver = driver
        self.seed = seed
        crashNow = crash
    }

    /// Adds a line to the trace, under the current host's name.
    public func note(_ line: String) {
        driver.world.trace.note(driver.world.now, CurrentHost.value?.name ?? "", line)
    }

    /// Turns the power off. The simulation ends with ``SimulationError/Reason/crashed``, whatever the body does next;
    /// every later system call fails with EIO.
    public func crash(_ rules: SimulatedCrash.Rules = .posix) { crashNow(rules) }

    /// A number that the seed chooses.
    public func random(in range: Range<Int>) -> Int {
        range.lowerBound + driver.world.random.below(range.count)
    }
}
