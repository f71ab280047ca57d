internal import AIOCore
internal import Synchronization

/// What a loop does for Swift's tasks. It resumes tasks whose operations have completed, runs the jobs of tasks that
/// prefer the loop, and admits callers that wait for a slot.
final class LoopTasks: LoopClient {
    private let admission = Admission()
    /// Separate, so that waits and other operations do not block each other.
    private let admissionOfWaits = Admission()
    let alarms = Alarms()
    private let sliceTime: Nanoseconds
    private let jobEnded: (@Sendable () -> Void)?
    private let log: @Sendable (String) -> Void
    private let remote = Guarded(Remote())
    /// Whether `remote` may hold jobs, so that the loop can check without the lock.
    private let hasRemote = Atomic<Bool>(false)
    /// State of the loop's thread alone. Behind a pointer, so that accesses have no exclusivity checks at run time.
    nonisolated(unsafe) private let local: UnsafeMutablePointer<Local>

    /// Jobs from other threads.
    private struct Remote: ~Copyable, @unchecked Sendable {
        // @unchecked: UnownedJob and IOLoop are Sendable, and this value owns the queue's memory.
        var jobs = JobQueue()
        var isEnded = false
        /// The loop, kept alive until it ends, for the jobs that run on it.
        var loop: IOLoop?
        var whenEnded: [@Sendable () -> Void] = []
    }

    private struct Local: ~Copyable {
        var jobs = JobQueue()
        var executor: UnownedTaskExecutor?
        var core: Loop<LoopTasks>?
    }

    /// `sliceTime`: how long jobs run before completions are looked for. The default is time for some hundred jobs, and
    /// less than a peer or a disk notices.
    init(_ configuration: IORuntime.Configuration, sliceTime: Nanoseconds = 200_000) {
        self.sliceTime = sliceTime
        jobEnded = configuration.jobEnded
        log = configuration.log
        local = .allocate(capacity: 1)
        local.initialize(to: Local())
    }

    deinit {
        local.deinitialize(count: 1)
        local.deallocate()
    }

    /// Called before the first job.
    func attach(_ loop: IOLoop) { remote.withLock { $0.loop = loop } }

    /// Where an operation waits for a slot.
    @inline(__always)
    func admission(of operation: Operation) -> Admission { operation.isWait ? admissionOfWaits : admission }

    /// Cancels waits for a slot. Returns the number of operations.
    func cancelWaiting(on descriptor: Descriptor?) -> Int {
        admission.cancelAll(on: descriptor) + admissionOfWaits.cancelAll(on: descriptor)
    }

    // MARK: Jobs

    @inline(__always)
    func enqueueLocally(_ job: UnownedJob) { local.pointee.jobs.append(job) }

    /// Returns false if the loop has ended.
    func enqueueRemotely(_ job: UnownedJob) -> Bool {
        let isAccepted = remote.withLock { remote in
            guard !remote.isEnded else { return false }
            remote.jobs.append(job)
            return true
        }
        // Sequentially consistent with the loop going to sleep: the loop sees the flag or is woken.
        if isAccepted { hasRemote.store(true, ordering: .sequentiallyConsistent) }
        return isAccepted
    }

    /// Whether jobs wait while one runs. Relaxed: a job that has just come is seen the next time.
    var hasOtherJobs: Bool { local.pointee.jobs.count > 0 || hasRemote.load(ordering: .relaxed) }

    func hasJobs() -> Bool {
        hasRemote.load(ordering: .sequentiallyConsistent) || local.pointee.jobs.count > 0 || admitWaiting()
    }

    func runJobs() -> Bool {
        if hasRemote.load(ordering: .relaxed) || local.pointee.executor == nil { fetchRemote() }
        _ = admitWaiting()
        guard let executor = local.pointee.executor else { return false }
        guard var job = local.pointee.jobs.popFirst() else { return false }
        // A time slice: jobs enqueued in the meantime may run too, but completions are not starved.
        let end = Kernel.now() &+ sliceTime
        while true {
            job.runSynchronously(on: executor)
            jobEnded?()
            guard Kernel.now() < end, let next = local.pointee.jobs.popFirst() else { break }
            job = next
        }
        return local.pointee.jobs.count > 0
    }

    private func fetchRemote() {
        hasRemote.store(false, ordering: .sequentiallyConsistent)
        remote.withLock { remote in
            if local.pointee.executor == nil, let loop = remote.loop {
                local.pointee.executor = loop.asUnownedTaskExecutor()
                local.pointee.core = loop.core
            }
            while let job = remote.jobs.popFirst() { local.pointee.jobs.append(job) }
        }
    }

    // MARK: Completions

    func deliver(_ deliveries: UnsafeBufferPointer<Delivery>) {
        for delivery in deliveries where delivery.context != 0 {
            guard delivery.context & 1 == 0 else {
                OperationGroupState.complete(delivery.context, delivery.completion)
                continue
            }
            // The continuation that `IOLoop.perform` stored. It is resumed once, since a token completes once.
            unsafeBitCast(delivery.context, to: UnsafeContinuation<Completion, Never>.self)
                .resume(returning: delivery.completion)
        }
    }

    private func admitWaiting() -> Bool {
        guard admission.hasWaiters || admissionOfWaits.hasWaiters, let core = local.pointee.core else { return false }
        func prepare(_ operation: Operation, _ deadline: Nanoseconds) -> Token? {
            core.prepare(operation, context: 0, deadline: deadline)
        }
        let hasAdmitted = admission.admit(prepare)
        return admissionOfWaits.admit(prepare) || hasAdmitted
    }

    var nextDeadline: Nanoseconds {
        min(admission.nextDeadline, min(admissionOfWaits.nextDeadline, alarms.nextDeadline))
    }

    func expire(_ now: Nanoseconds) {
        admission.expire(now)
        admissionOfWaits.expire(now)
        alarms.expire(now)
    }

    // MARK: Shutdown

    func engineLost(_ errno: Int32) {
        log("io_uring is no longer usable: \(Errno(rawValue: errno)); the engine threads replaces it")
    }

    func loopEnded() {
        fetchRemote()
        local.pointee.core = nil
        let (loop, actions) = remote.withLock { remote in
            remote.isEnded = true
            while let job = remote.jobs.popFirst() { local.pointee.jobs.append(job) }
            defer {
                remote.loop = nil
                remote.whenEnded = []
            }
            return (remote.loop, remote.whenEnded)
        }
        admission.close()
        admissionOfWaits.close()
        // Tasks that prefer a loop which has ended run on the global executor.
        while let job = local.pointee.jobs.popFirst() { RuntimeStandIn.enqueueGlobally(job) }
        for action in actions { action() }
        withExtendedLifetime(loop) {}
    }

    /// Runs `action` when the loop has ended; at once if it has ended already.
    func whenEnded(_ action: @escaping @Sendable () -> Void) {
        let isEnded = remote.withLock { remote in
            if !remote.isEnded { remote.whenEnded.append(action) }
            return remote.isEnded
        }
        if isEnded { action() }
    }
}
