/// A task of a scenario: an async function that a thread carries out, and that others may cancel.
final class ExploredTask: @unchecked Sendable {
    // @unchecked: the lock guards the handlers.
    private let cancelled = Place<UInt32>(0)
    private let lock = Lock()
    private var handlers: [@Sendable () -> Void] = []

    /// The running thread's; nil where it carries out none.
    fileprivate static var current: ExploredTask? { Execution.current?.running?.task }

    /// Carries out an async function on the calling thread.
    func run(_ body: @escaping @Sendable () async -> Void) {
        let thread = Execution.current.unsafelyUnwrapped.running
        thread?.task = self
        defer { thread?.task = nil }
        let executor = InlineExecutor()
        _Concurrency.Task(executorPreference: executor) { await body() }
        executor.run()
    }

    // MARK: Cancellation

    fileprivate var isCancelled: Bool { cancelled.value.load(ordering: .relaxed) != 0 }

    /// As swift_task_cancel: sets the flag, and then calls the handlers, on the caller's thread and under the lock that
    /// their removal takes as well.
    func cancel() {
        guard cancelled.value.exchange(1, ordering: .sequentiallyConsistent) == 0 else { return }
        lock.lock()
        for handler in handlers.reversed() { handler() }
        lock.unlock()
    }

    /// True if the task is cancelled already: the caller then calls the handler, which `cancel` may have called too.
    fileprivate func add(_ handler: @escaping @Sendable () -> Void) -> Bool {
        lock.lock()
        handlers.append(handler)
        lock.unlock()
        return cancelled.value.load(ordering: .sequentiallyConsistent) != 0
    }

    fileprivate func removeLast() {
        lock.lock()
        handlers.removeLast()
        lock.unlock()
    }
}

/// Takes the place of Swift's function. The compiler would prefer Swift's if the operation were not `@concurrent`, as
/// Swift's is; the executor is the task's all the same. The handler is kept, so it escapes here, and the sources under
/// test name the `self` that theirs captures.
nonisolated(nonsending) func withTaskCancellationHandler<Value>(
    operation: @concurrent () async -> Value, onCancel handler: @escaping @Sendable () -> Void
) async -> Value {
    await onCancel(handler) { await operation() }
}

/// Takes the place of the library's own form of it (`Cancellation.swift`).
nonisolated(nonsending) func onCancel<Value>(
    _ handler: @escaping @Sendable () -> Void, _ operation: nonisolated(nonsending) () async -> Value
) async -> Value {
    guard let task = ExploredTask.current else { return await operation() }
    if task.add(handler) { handler() }
    let value = await operation()
    task.removeLast()
    return value
}

/// Takes the place of Swift's unstructured tasks, which are awaited at once where the sources have them.
struct Task<Success: Sendable, Failure: Error> {
    private let operation: @Sendable () async throws -> Success

    /// Carries out the function on the thread that asks: in a task of its own, which nobody cancels.
    var value: Success {
        get async throws {
            let thread = Execution.current.unsafelyUnwrapped.running
            let outer = thread?.task
            thread?.task = nil
            defer { thread?.task = outer }
            return try await operation()
        }
    }
}

extension Task where Failure == any Error {
    init(operation: @escaping @Sendable () async throws -> Success) { self.operation = operation }
}

extension Task where Success == Never, Failure == Never {
    static var isCancelled: Bool { ExploredTask.current?.isCancelled ?? false }
}

/// Runs the only job of a task that never suspends, on the thread that asks for it.
private final class InlineExecutor: Swift.TaskExecutor, @unchecked Sendable {
    // @unchecked: a single thread uses it.
    private var job: Swift.UnownedJob?

    func enqueue(_ job: consuming Swift.ExecutorJob) { self.job = Swift.UnownedJob(job) }

    func run() {
        while let next = job {
            job = nil
            next.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}
