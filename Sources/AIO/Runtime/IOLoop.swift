internal import AIOCore

/// A thread with an engine. It submits operations, takes their completions and resumes the waiting tasks.
///
/// A loop is also a task executor. Tasks that prefer it (`Task(executorPreference: loop)`) submit without a lock and
/// resume without a thread switch. Such a task must not block its thread, since it would block the whole loop.
public final class IOLoop: TaskExecutor, Sendable, CustomStringConvertible {
    let core: Loop<LoopTasks>
    private let tasks: LoopTasks
    private let atLimit: IORuntime.AtLimit

    init(
        _ kind: EngineKind, _ settings: EngineConfiguration, _ configuration: IORuntime.Configuration
    ) throws(EngineFailure) {
        tasks = LoopTasks(configuration)
        atLimit = configuration.atLimit
        core = try .start(kind, settings, tasks)
        tasks.attach(self)
    }

    /// A loop that the calling thread drives, by `turn`. For simulations.
    package init(
        byHand queue: consuming EngineQueue, _ settings: EngineConfiguration, _ configuration: IORuntime.Configuration
    ) {
        // One job a turn: a virtual clock stands still meanwhile, and a task that yields for ever would never let go.
        tasks = LoopTasks(configuration, sliceTime: 0)
        atLimit = configuration.atLimit
        core = Loop(byHand: queue, settings, tasks)
        tasks.attach(self)
    }

    /// One round of a loop that is driven by hand. False once the loop has ended.
    package func turn() -> Bool { core.turn() }

    /// Changes with every operation that a loop driven by hand stages or delivers.
    package var progress: UInt { core.progress }

    /// Whether `turn` must be called again, because of what has come since the last turn looked.
    package var hasWork: Bool { core.hasWork }

    /// When `turn` must be called for deadlines; `.never` without any.
    package var nextDeadline: Nanoseconds { core.nextDeadline }

    /// For example "IOLoop(io_uring, queueDepth 256)".
    public var description: String { "IOLoop(\(core.engineKind), queueDepth \(core.queueDepth))" }

    /// The number of operations in flight; read from another thread, it may be slightly out of date.
    public var inFlightCount: Int { core.inFlightCount }

    // MARK: Tasks

    /// Runs a job on the loop's thread. Swift's runtime calls it.
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if core.isCurrent, core.isRunning {
            tasks.enqueueLocally(job)
        } else if tasks.enqueueRemotely(job) {
            core.wakeIfAsleep()
        } else {
            RuntimeStandIn.enqueueGlobally(job)
        }
    }

    /// Whether jobs wait while one runs. For the loop's own thread.
    var hasOtherJobs: Bool { tasks.hasOtherJobs }

    // MARK: Operations

    /// Carries out one operation. Returns only when the operation has completed, also after a cancellation; therefore
    /// the operation may refer to borrowed memory.
    func perform(_ operation: Operation, _ deadline: Nanoseconds, _ name: String) async throws(IOError) -> Completion {
        if operation.isRelease { return try await performToTheEnd(operation, name) }
        try Self.checkBeginning(deadline, name)
        let token = try await admit(operation, deadline, name)
        return await cancellableCompletion(of: token)
    }

    /// Throws `cancelled` in a cancelled task and `deadlineExceeded` after the deadline. Nothing begins then, even if
    /// it could be served without waiting.
    @inline(__always)
    static func checkBeginning(_ deadline: Nanoseconds, _ name: @autoclosure () -> String) throws(IOError) {
        if Task.isCancelled { throw IOError(.cancelled, name()) }
        if deadline != .never, deadline <= Kernel.now() { throw IOError(.deadlineExceeded, name()) }
    }

    /// The same for an operation that others can cancel as well: it is recorded in `waiting` until it has completed.
    /// The caller has just checked that the operation may begin.
    @inline(__always)
    func perform(
        _ operation: Operation, _ deadline: Nanoseconds, _ name: String, noting waiting: borrowing WaitingOperations
    ) async throws(IOError) -> Completion {
        // A caller that starts to wait for a slot after `waiting` has ended must not wait.
        let token = try await admit(operation, deadline, name, isEnded: { waiting.isEnded })
        waiting.add(token, self)
        defer { waiting.remove(token, self) }
        return await cancellableCompletion(of: token)
    }

    /// The same for a release (`Operation.isRelease`), which must not be cancelled.
    func performToTheEnd(_ operation: Operation, _ name: String) async throws(IOError) -> Completion {
        let token: Token
        if let free = core.prepare(operation, context: 0, deadline: .never) {
            token = free
        } else {
            // In a task of its own, which is not cancelled: a cancelled task waits for a slot like any other.
            token = try await Task { [self] () throws(IOError) in try await wait(operation, .never, name) }.typedValue
        }
        return await completion(of: token)
    }

    /// Stages a prepared operation and waits for its completion.
    @inline(__always)
    private func completion(of token: Token) async -> Completion {
        let core = core
        defer { core.acquireDelivered() }
        return await withUnsafeContinuation { (continuation: UnsafeContinuation<Completion, Never>) in
            core.setContext(unsafeBitCast(continuation, to: UInt.self), of: token)
            core.stage(token)
        }
    }

    /// The same, and requests cancellation of the operation when the task is cancelled.
    @inline(__always)
    private func cancellableCompletion(of token: Token) async -> Completion {
        let core = core
        return await onCancel {
            core.requestCancel(token)
        } _: {
            await completion(of: token)
        }
    }

    /// Carries out an operation whose result nobody needs. Returns false if no slot is free.
    func performUnobserved(_ operation: Operation) -> Bool {
        guard let token = core.prepare(operation, context: 0, deadline: .never) else { return false }
        core.stage(token)
        return true
    }

    @inline(__always)
    private func admit(
        _ operation: Operation, _ deadline: Nanoseconds, _ name: String,
        isEnded: @Sendable () -> Bool = { false }
    ) async throws(IOError) -> Token {
        // A new caller waits behind those that already wait.
        if tasks.admission(of: operation).isEmpty,
            let token = core.prepare(operation, context: 0, deadline: deadline)
        {
            return token
        }
        guard atLimit == .wait || !core.isRunning else { throw IOError(.limitReached, name) }
        return try await wait(operation, deadline, name, isEnded: isEnded)
    }

    private func wait(
        _ operation: Operation, _ deadline: Nanoseconds, _ name: String, isEnded: @Sendable () -> Bool = { false }
    ) async throws(IOError) -> Token {
        guard core.isRunning else { throw IOError(.runtimeShutDown, name) }
        let answer = await tasks.admission(of: operation).wait(operation, deadline) {
            core.wakeIfAsleep()
            if isEnded() { _ = cancelWaiting(on: operation.descriptor) }
        }
        switch answer {
        case .admitted(let token): return token
        case .failed(let code): throw IOError(code, name)
        }
    }

    /// Cancels the waits for a slot of operations on a descriptor, or with nil of all operations. Returns their number.
    func cancelWaiting(on descriptor: Descriptor?) -> Int { tasks.cancelWaiting(on: descriptor) }

    // MARK: Alarms

    /// Calls `action` on the loop's thread when `deadline` passes, unless the alarm is removed before.
    func setAlarm(_ deadline: Nanoseconds, _ action: @escaping @Sendable () -> Void) -> Alarms.Alarm {
        let alarm = tasks.alarms.set(deadline, action)
        core.wakeIfAsleep()
        return alarm
    }

    func removeAlarm(_ alarm: Alarms.Alarm) { tasks.alarms.remove(alarm) }

    // MARK: Shutdown

    package func beginShutdown(_ mode: IORuntime.ShutdownMode, whenEnded: @escaping @Sendable () -> Void) {
        tasks.whenEnded(whenEnded)
        core.beginShutdown(cancelling: mode == .cancel)
    }
}

extension Task where Failure == any Error {
    /// The value of a task whose body throws only `IOError`.
    fileprivate var typedValue: Success {
        get async throws(IOError) {
            do { return try await value } catch let error as IOError { throw error } catch {
                throw IOError(.other, "task")
            }
        }
    }
}
