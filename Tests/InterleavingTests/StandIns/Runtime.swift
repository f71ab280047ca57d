/// Takes the place of the runtime's public face, of which the sources under test need this much.
public enum IORuntime {
    package struct Configuration: Sendable {
        var atLimit = AtLimit.wait
        var log: @Sendable (String) -> Void = { _ in }
        var jobEnded: (@Sendable () -> Void)?
    }
    package enum AtLimit { case wait, fail }
    package enum ShutdownMode { case drain, cancel }
}

struct IOError: Error {
    enum Code: Equatable { case cancelled, deadlineExceeded, runtimeShutDown, limitReached, other }
    var code: Code
    init(_ code: Code, _ operation: String) { self.code = code }
}

struct Errno { var rawValue: Int32 }

/// Takes the place of a group's state, to which the completions of operations without a task go.
enum OperationGroupState {
    /// By context. One thread runs at a time.
    nonisolated(unsafe) static var completions: [UInt: [Int32]] = [:]

    static func complete(_ context: UInt, _ completion: Completion) {
        completions[context, default: []].append(completion.result)
        Execution.current?.record(mixed(UInt64(context), UInt64(bitPattern: Int64(completion.result))))
    }
}

/// Takes the place of Swift's jobs: a closure.
public struct UnownedJob: @unchecked Sendable {
    // @unchecked: one thread runs at a time.
    let body: () -> Void
    init(_ job: ExecutorJob) { body = job.body }
    func runSynchronously(on executor: UnownedTaskExecutor) { body() }
}

public struct ExecutorJob: @unchecked Sendable {
    // @unchecked: one thread runs at a time.
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
    init(_ job: UnownedJob) { body = job.body }
}

public struct UnownedTaskExecutor: Sendable {}

public protocol TaskExecutor: AnyObject {
    func enqueue(_ job: consuming ExecutorJob)
}

extension TaskExecutor {
    func asUnownedTaskExecutor() -> UnownedTaskExecutor { UnownedTaskExecutor() }
}

/// Takes the place of Swift's global executor: runs a job at once.
enum RuntimeStandIn {
    static func enqueueGlobally(_ job: UnownedJob) { job.body() }
}
