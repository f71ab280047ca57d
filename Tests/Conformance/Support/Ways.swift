import AIO
import AIOCore
import Testing

/// How an operation is performed: by an engine, through one of two interfaces.
struct Way: Sendable, Hashable, CustomTestStringConvertible {
    enum Interface: String, Sendable, CaseIterable {
        case runtime = "IORuntime"
        case queue = "IOQueue"
    }

    var engine: EngineKind
    var interface: Interface

    var testDescription: String { "\(engine), \(interface.rawValue)" }

    /// Runs `body` with a performer for this way, and checks that nothing is left of it.
    func run<R>(
        queueDepth: Int = 64, workerLimit: Int = 8, _ body: (Performer) async throws -> R
    ) async throws -> R {
        switch interface {
        case .runtime:
            try await withRuntime(
                engine,
                {
                    $0.queueDepth = queueDepth; $0.workerLimit = workerLimit
                }
            ) {
                try await body(.runtime($0))
            }
        case .queue:
            try await withQueue(
                engine,
                {
                    $0.queueDepth = queueDepth; $0.workerLimit = workerLimit
                }
            ) {
                try await body(.queue($0))
            }
        }
    }
}

let ways: [Way] = engines.flatMap { engine in Way.Interface.allCases.map { Way(engine: engine, interface: $0) } }

enum Performer {
    case runtime(IORuntime)
    case queue(IOQueue)

    @discardableResult
    func perform(
        _ operation: Operation, deadline: Deadline = .never
    ) async throws(IOError) -> Int32 {
        switch self {
        case .runtime(let runtime): try await runtime.perform(operation, deadline: deadline)
        case .queue(let queue): try queue.blockingPerform(operation, deadline: deadline)
        }
    }

    /// Performs an operation that must complete with `value`.
    func expect(
        _ operation: Operation, completesWith value: Int, deadline: Deadline = .never,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let result = try await perform(operation, deadline: deadline)
        #expect(Int(result) == value, sourceLocation: sourceLocation)
    }

    /// Performs an operation that must fail with this errno.
    func expect(
        _ operation: Operation, failsWith errno: Int32, sourceLocation: SourceLocation = #_sourceLocation
    ) async {
        let result = await self.errno(of: operation)
        #expect(result == errno, "\(operation)", sourceLocation: sourceLocation)
    }

    /// The errno of the error; 0 if there was no error, -1 if the error has none.
    func errno(of operation: Operation) async -> Int32 {
        do throws(IOError) {
            try await perform(operation)
            return 0
        } catch {
            return error.errno?.rawValue ?? -1
        }
    }
}

/// Runs `body` with a runtime over `engine`, which is shut down afterwards and must have nothing in flight then. A line
/// in its log is a failure, unless `configure` sets another log.
func withRuntime<R>(
    _ engine: EngineKind, _ configure: (inout IORuntime.Configuration) -> Void = { _ in },
    _ body: (IORuntime) async throws -> R
) async throws -> R {
    var configuration = IORuntime.Configuration()
    configuration.engine = .forced(engine)
    // All tests together share the system's limit of Linux AIO operations.
    configuration.queueDepth = 64
    configuration.log = { line in Issue.record("logged: \(line)") }
    configure(&configuration)
    let runtime = try IORuntime(configuration)
    let result: R
    do {
        result = try await body(runtime)
    } catch {
        await runtime.shutdown(.cancel)
        throw error
    }
    await runtime.shutdown(.drain)
    #expect(runtime.inFlightCount == 0)
    return result
}

/// Runs `body` with a queue over `engine`, which must end with nothing in flight. It runs on a separate thread, which
/// it may block.
func withQueue<R>(
    _ engine: EngineKind, _ configure: (inout IOQueue.Configuration) -> Void = { _ in },
    _ body: (IOQueue) async throws -> R
) async throws -> R {
    var configuration = IOQueue.Configuration()
    configuration.engine = .forced(engine)
    // All tests together share the system's limit of Linux AIO operations.
    configuration.queueDepth = 64
    configure(&configuration)
    return try await BlockingThread.with { try await runWithQueue(configuration, body) }
}

private func runWithQueue<R>(
    _ configuration: IOQueue.Configuration, _ body: (IOQueue) async throws -> R
) async throws -> R {
    let queue = try IOQueue(configuration)
    let result = try await body(queue)
    #expect(queue.inFlightCount == 0)
    return result
}
