import AIO
import Dispatch

/// Runs a task and blocks the calling thread until it ends.
enum BlockingTask {
    /// Runs `body` as a task on the loop, and blocks the calling thread until the task ends.
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
        guard let result = outcome.result else { throw Failure("a task ended without a result") }
        return try result.get()
    }

    private final class Outcome<Value>: @unchecked Sendable {
        // @unchecked: written before the semaphore is signalled, read after the wait.
        var result: Result<Value, any Error>?
    }
}
