internal import CKernel

/// Takes the place of the runtime's public face, of which the sources under test need this much: one loop.
public final class IORuntime: @unchecked Sendable {
    // @unchecked: one thread runs at a time.
    package struct Configuration: Sendable {
        var atLimit = AtLimit.wait
        var log: @Sendable (String) -> Void = { _ in }
        var jobEnded: (@Sendable () -> Void)?
    }
    package enum AtLimit { case wait, fail }
    package enum ShutdownMode { case drain, cancel }

    let configuration = Configuration()
    let loops: [IOLoop]
    /// How often each descriptor was closed.
    private(set) var closes: [Int32: Int] = [:]

    init(_ loop: IOLoop) { loops = [loop] }

    func check(_ operation: @autoclosure () -> String) throws(IOError) {}
    func loop(for operation: Operation, _ name: String) throws(IOError) -> IOLoop { loops[0] }
    func closeUnobserved(_ number: Int32) { closes[number, default: 0] += 1 }

    func close(_ number: Int32, _ path: String?) async throws(IOError) {
        Execution.current?.point()
        closeUnobserved(number)
    }
}

struct IOError: Error {
    enum Code: Equatable { case cancelled, deadlineExceeded, runtimeShutDown, limitReached, fileClosed, other }
    var code: Code
    var address: String?

    init(_ code: Code, _ operation: String, address: String? = nil, advice: String? = nil) {
        self.code = code
        self.address = address
    }

    init(result: Int32, _ operation: String) { code = result == -ECANCELED ? .cancelled : .other }

    init(_ completion: Completion, _ operation: String, path: String?) {
        self.init(result: completion.result, operation)
    }
}

struct Deadline {
    var nanoseconds: Nanoseconds
    static var never: Deadline { Deadline(nanoseconds: .never) }
}

struct SocketAddress: CustomStringConvertible { let description = "" }

extension String { var visible: String { self } }

/// Takes the place of the guess whether an attempt before a wait is worth it, which no scenario makes.
struct CacheGuess: ~Copyable {}

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
