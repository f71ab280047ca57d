internal import AIO
internal import AIOCore

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// One run of a simulation, on the thread that it has for itself.
struct SimulationRun<Value: Sendable> {
    private let seed: UInt64
    private let options: SimulationOptions
    private let body: @Sendable (Simulation) async throws -> Value
    private let driver: Driver
    private let outcome = Outcome()

    private final class Outcome: @unchecked Sendable {
        // @unchecked: the simulation's thread alone uses it.
        var result: Result<Value, any Error>?
    }

    init(
        seed: UInt64, _ options: SimulationOptions, _ body: @escaping @Sendable (Simulation) async throws -> Value
    ) throws {
        CurrentHost.install
        self.seed = seed
        self.options = options
        self.body = body
        let world = World(seed: seed)
        if options.keepsStory { world.trace.keepLines() }
        driver = Driver(world, options.latency)
    }

    func report() throws -> SimulationReport<Value> {
        let start = driver.world.now
        let host = try driver.addHost("host", options.runtime)
        let task = begin(on: host)
        let end = driver.run(stepLimit: options.stepLimit) { outcome.result != nil }
        let elapsed = driver.world.now - start
        let result = outcome.result ?? .failure(error(end))
        task.cancel()
        driver.endHosts()
        let trace = driver.world.trace
        return SimulationReport(
            seed: seed, result: result, traceHash: trace.hash, elapsed: elapsed, stepCount: driver.stepCount,
            story: trace.lines ?? [])
    }

    private func begin(on host: SimulatedHost) -> Task<Void, Never> {
        let simulation = Simulation(driver, seed: seed)
        return driver.with(host) {
            Task(executorPreference: host.executor) { [body, outcome] in
                do {
                    let value = try await body(simulation)
                    outcome.result = .success(value)
                } catch {
                    outcome.result = .failure(error)
                }
            }
        }
    }

    private func error(_ end: Driver.End) -> SimulationError {
        switch end {
        case .foreignThread: SimulationError(reason: .foreignThread, seed: seed, details: "")
        case .stepLimit: SimulationError(reason: .stepLimit, seed: seed, details: "")
        case .done, .deadlock: SimulationError(reason: .deadlock, seed: seed, details: driver.waitingOperations)
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

    static func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let thread = Body {
                let result = Result { try body() }
                // Not on the host any more: the continuation belongs to the caller's executor.
                CurrentHost.set(nil)
                continuation.resume(with: result)
            }
            let refused = start(thread)
            guard refused != 0 else { return }
            continuation.resume(throwing: IOError(.limitReached, "simulation", advice: "no thread can be started"))
        }
    }

    private static func start(_ body: Body) -> Int32 {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(body)
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
