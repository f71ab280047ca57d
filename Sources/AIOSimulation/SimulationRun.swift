internal import AIO
internal import AIOCore
internal import FaultInjection

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// One run of a simulation, on a thread that it has for itself.
final class SimulationRun<Value: Sendable>: @unchecked Sendable {
    // @unchecked: the caller's thread uses it until it has started the simulation's, which alone uses it from then on;
    // `requestCancel` is for any thread.

    private let seed: UInt64
    private let options: SimulationOptions
    private let driver: Driver
    private let executor: SimulatedExecutor
    private var task: Task<Void, Never>?
    private var result: Result<Value, any Error>?
    private var survivor: SimulatedFileSystem?

    init(seed: UInt64, _ options: SimulationOptions) {
        CurrentHost.install
        self.seed = seed
        self.options = options
        let world = World(seed: seed, start: (options.disk?.time ?? 0) &+ 1_000_000_000)
        if options.keepsStory { world.trace.keepLines() }
        driver = Driver(world, options.latency)
        executor = SimulatedExecutor(world)
    }

    /// Runs `body` in a task that has the caller's priority and task-local values, and resumes the continuation.
    func start(
        _ body: @escaping @Sendable (Simulation) async throws -> Value,
        _ continuation: CheckedContinuation<SimulationReport<Value>, any Error>
    ) {
        let simulation = Simulation(driver, seed: seed) { [unowned self] rules in
            driver.world.crashNow { survive(rules) }
        }
        task = Task(executorPreference: executor) { [self] in
            do { result = .success(try await body(simulation)) } catch { result = .failure(error) }
        }
        let refused = SimulationThread.start { [self] in
            let report = Result { try drive() }
            // Not on a host any more: the continuation belongs to the caller's executor.
            CurrentHost.set(nil)
            continuation.resume(with: report)
        }
        guard refused != 0 else { return }
        continuation.resume(throwing: IOError(.limitReached, "simulation", advice: "no thread can be started"))
    }

    func requestCancel() { driver.requestCancel() }

    private func drive() throws -> SimulationReport<Value> {
        driver.begin()
        defer { driver.forgetGlobalTasks() }
        let start = driver.world.now
        let files = options.disk?.copy(in: driver.world) ?? SimulatedFileSystem(in: driver.world)
        let host = try driver.addHost("host", executor, options.runtime, files)
        host.kernel.faults = FaultRules(options.faults.map(\.rule))
        if let crash = options.crash {
            driver.world.setCrash(beforeCall: driver.world.callCount + crash.call) { self.survive(crash.rules) }
        }
        let ran = driver.run(stepLimit: options.stepLimit) {
            self.task?.cancel()
        } until: {
            self.result != nil
        }
        driver.world.forgetCrash()
        // Whatever the body still did after the power went off is no result.
        let end = driver.endOfPower ?? ran
        let elapsed = driver.world.now - start
        let result = end == .done ? self.result ?? .failure(error(end)) : .failure(error(end))
        driver.with(host) { task?.cancel() }
        driver.endHosts()
        driver.world.forgetBlockedCall()
        if survivor == nil { files.syncAll() }
        let disk = SimulatedDisk(survivor ?? files, driver.world.now)
        let trace = driver.world.trace
        return SimulationReport(
            seed: seed, result: result, traceHash: trace.hash, elapsed: elapsed, stepCount: driver.stepCount,
            callCount: driver.world.callCount, faults: host.kernel.faultLog.faults, disk: disk, story: trace.lines ?? []
        )
    }

    /// Notes what survives a crash at this moment.
    private func survive(_ rules: SimulatedCrash.Rules) {
        let files = driver.hosts[0].kernel.fileSystem
        survivor = files.crash(rules == .posix ? .posix : .ordered, &driver.world.random)
        survivor?.syncAll()
    }

    private func error(_ end: Driver.End) -> SimulationError {
        switch end {
        case .foreignThread:
            SimulationError(reason: .foreignThread, seed: seed, details: driver.foreignTaskText)
        case .stepLimit: SimulationError(reason: .stepLimit, seed: seed, details: "")
        case .killed: SimulationError(reason: .killed, seed: seed, details: driver.killText ?? "")
        case .crashed: SimulationError(reason: .crashed, seed: seed, details: "")
        case .done, .deadlock:
            SimulationError(
                reason: .deadlock, seed: seed, details: driver.stuckOperations ?? driver.waitingOperations)
        }
    }
}

/// The thread of a simulation. It is a new one, so that no job of anything else runs on it.
enum SimulationThread {
    private final class Body: @unchecked Sendable {
        // @unchecked: handed from one thread to the next.
        let run: () -> Void
        init(_ run: @escaping () -> Void) { self.run = run }
    }

    /// Returns 0, or the errno of pthread_create(3).
    static func start(_ body: @escaping @Sendable () -> Void) -> Int32 {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(Body(body))
        let refused = pthread_create(
            &thread, &attributes,
            { argument in
                if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, argument.toOpaque())
        if refused != 0 { argument.release() }
        return refused
    }
}
