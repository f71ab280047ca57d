import AIO
import Dispatch

/// A task that the command's own thread waits for.
enum BlockingTask {
    /// Runs `body` as a task on the loop, and blocks this thread until it has ended.
    static func run<Value: Sendable>(on loop: IOLoop, _ body: @escaping @Sendable () async throws -> Value) throws
        -> Value
    {
        let outcome = Outcome<Value>()
        let ended = DispatchSemaphore(value: 0)
        Task.detached(executorPreference: loop) {
            do { outcome.result = .success(try await body()) } catch { outcome.result = .failure(error) }
            ended.signal()
        }
        ended.wait()
        guard let result = outcome.result else { throw Failure("a task has ended without a result") }
        return try result.get()
    }

    private final class Outcome<Value>: @unchecked Sendable {
        // @unchecked: written before the signal, read after it.
        var result: Result<Value, any Error>?
    }
}
