public import CKernel

/// An engine and the table of its operations in flight: the common core of a loop and an `IOQueue`, where submissions
/// and completions meet.
///
/// One thread at a time uses a queue, but any thread may call `prepare` and `wake`. The queue does what all engines
/// would need to do: deadlines and timers, cancellation, polling after EAGAIN, and resubmission of what the kernel
/// dropped because the submitting thread exited.
public struct EngineQueue: ~Copyable {
    // Destroyed before `table`, since that waits for the workers.
    let engine: EngineInstance
    let table: InFlightTable
    private let hasDedicatedThread: Bool
    /// Completed and not yet drained.
    private var ready: FixedQueue<Delivery>
    var deadlines: DeadlineHeap
    /// The buffer groups for receives.
    var groups = BufferGroups()
    /// The words that cancel futex waits on workers.
    private var futexCancels: FutexCancels
    var pace: Pace
    private let scratch: UnsafeMutableBufferPointer<Completion>
    /// What `exportDescriptor` returned; created on first use.
    private var exported: ExportedDescriptor?

    /// Whether the queue has handled the loss of the engine's ring.
    private var hasNotedLoss = false
    /// Whether operations were staged outside of a turn's submission, so that the engine has yet to submit them.
    var hasStagedAgain = false
    /// The last submitting thread, and how often it changed.
    private var issuer: Int32 = 0
    private(set) var issuerChanges: UInt32 = 0
    /// Operations staged and completions drained since the creation. Both counters wrap.
    public private(set) var stagedCount: UInt = 0
    public private(set) var drainedCount: UInt = 0

    public init(_ kind: EngineKind, _ configuration: EngineConfiguration) throws(EngineFailure) {
        guard configuration.isInRange else {
            throw EngineFailure(engine: kind, step: .configuration, errno: EINVAL)
        }
        engine = try EngineInstance(kind, configuration)
        hasDedicatedThread = configuration.hasDedicatedThread
        table = InFlightTable(capacity: configuration.queueDepth, waitingCapacity: configuration.waitingLimit)
        ready = FixedQueue(capacity: configuration.placeCount)
        deadlines = DeadlineHeap(capacity: configuration.placeCount)
        futexCancels = FutexCancels(capacity: configuration.placeCount)
        pace = Pace(capacity: configuration.queueDepth)
        scratch = .allocate(capacity: min(configuration.placeCount, 256))
    }

    /// The caller has drained all operations. One still in flight would write into freed memory (use-after-free).
    deinit { scratch.deallocate() }

    /// The kind of engine that was requested.
    public var engineKind: EngineKind { engine.kind }

    /// Takes holds on files from other threads; nil unless the configuration says `isGuest` and the engine supports it.
    public var holds: FileHolds? { engine.holds }

    /// Operations staged and not yet drained.
    public var inFlightCount: Int { Int(bitPattern: stagedCount &- drainedCount) }

    var isExported: Bool { exported != nil }

    /// The number of completions that `drain` would return now.
    public var readyCount: Int { ready.count }

    // MARK: Down

    /// Takes a slot and fills it in; nil at the limit. May be called from any thread. `context` comes back with the
    /// completion.
    ///
    /// The caller must stage the token: an operation that is prepared and never staged leaks its slot.
    public borrowing func prepare(_ operation: Operation, context: UInt, deadline: Nanoseconds = .never) -> Token? {
        table.prepare(operation, context: context, deadline: deadline)
    }

    /// Hands a prepared operation to the engine, or executes it in the queue.
    @inline(__always)
    public mutating func stage(_ token: Token) {
        stagedCount &+= 1
        let slot = table[token]
        guard table.stage(token) == .submit else { return deliver(token, -ECANCELED, []) }
        slot.pointee.issuerChanges = issuerChanges
        if slot.pointee.deadline != .never, !mayBegin(token) { return }
        switch slot.pointee.operation.traits.handling {
        case .engine, .work:
            noteDeadline(token)
            stageInPace(slot, token)
        case .sleep:
            noteDeadline(token)
            stageSleep(token)
        case .wholeWrite:
            noteDeadline(token)
            table.setWriting(token)
            engine.stage(&slot.pointee.operation, token)
        case .steps: stageSteps(token)
        case .timer:
            stageTimer(token)
            exported?.arm(deadlines.earliest)
        case .queue: finish(token, resultAtOnce(token), [])
        }
    }

    /// Executes the operations that the queue handles itself.
    private mutating func resultAtOnce(_ token: Token) -> Int32 {
        switch table[token].pointee.operation {
        case .cancel(let target): requestCancel(target)
        case .cancelAll(let descriptor):
            Int32(truncatingIfNeeded: requestCancelAll(on: descriptor, except: token))
        case .buffers(let call): groups.perform(call)
        // No other operation has the handling `queue`.
        default: -EINVAL
        }
    }

    @inline(__always)
    private mutating func noteDeadline(_ token: Token) {
        let deadline = table[token].pointee.deadline
        if deadline != .never { deadlines.insert(token.slot, deadline) }
    }

    private mutating func stageSleep(_ token: Token) {
        let slot = table[token]
        if case .futexWait(let wait) = slot.pointee.operation {
            slot.pointee.operation = .futexWait(futexCancels.prepare(wait, token.slot))
        }
        engine.stage(&slot.pointee.operation, token)
    }

    /// Whether an operation with a deadline may start: only before its deadline. A release ignores deadlines.
    private mutating func mayBegin(_ token: Token) -> Bool {
        let slot = table[token]
        guard !slot.pointee.operation.isRelease else {
            slot.pointee.deadline = .never
            return true
        }
        guard slot.pointee.deadline <= Kernel.now() else { return true }
        slot.pointee.isDeadlinePassed = true
        finish(token, -ECANCELED, [])
        return false
    }

    /// Requests cancellation of an operation. Only the operation's own completion tells the outcome.
    ///
    /// Returns 0 (requested), -ENOENT (no such operation, or it has completed) or -EALREADY (requested before, or the
    /// operation is a release, which is never cancelled: `Operation.isRelease`).
    @discardableResult
    public mutating func requestCancel(_ token: Token) -> Int32 {
        switch table.requestCancel(token) {
        case .unknown: return -ENOENT
        case .requestedBefore, .isRelease: return -EALREADY
        case .endsWhenStaged: return 0
        case .isWithNobody:
            finish(token, -ECANCELED, [])
            return 0
        case .askEngine: break
        }
        let operation = table[token].pointee.operation
        switch operation.traits.handling {
        case .timer:
            finish(token, -ECANCELED, [])
            return 0
        case .queue:
            // A cancel whose target is itself: `stage` completes it.
            return 0
        case .work:
            // The engine takes back work that has not begun; running work checks the request between two system calls.
            if case .work(let work) = operation { work.takeUnretainedValue().requestEnd() }
        case .sleep: futexCancels.cancel(token.slot)
        case .engine, .wholeWrite, .steps: break
        }
        engine.requestCancel(token)
        return 0
    }

    /// Requests cancellation of all operations in flight on a descriptor; with nil, of all on this queue, except
    /// `exempt`. Returns the number of operations newly asked.
    @discardableResult
    public mutating func requestCancelAll(on descriptor: Descriptor? = nil, except exempt: Token? = nil) -> Int {
        var count = 0
        for index in 0..<table.capacity {
            guard let token = table.submittedToken(at: index), token != exempt else { continue }
            if let descriptor, !table[token].pointee.operation.isOn(descriptor) { continue }
            if requestCancel(token) == 0 { count += 1 }
        }
        return count
    }

    // MARK: Waiting

    /// Submits everything staged to the kernel or the workers, throttled operations included. Never waits for a device.
    public mutating func submit() {
        noteIssuer()
        stageHeld(atMost: .max)
        flush()
    }

    /// One turn without a wait: submits what the pacing allows (`EngineQueuePacing`), and collects completions.
    @inline(__always)
    public mutating func turn() {
        noteIssuer()
        stageHeld(hasReady: !ready.isEmpty)
        flush()
    }

    @inline(__always)
    private mutating func flush() {
        engine.enter(atLeast: 0, until: 0)
        collect()
    }

    /// One turn: submits, waits until a completion is ready, `wake` is called or the deadline passes, and collects
    /// completions. May return early.
    public mutating func turn(until deadline: Nanoseconds) {
        noteIssuer()
        stageHeld(hasReady: !ready.isEmpty)
        if ready.isEmpty, deadlines.earliest > 0 {
            sleep(atLeast: 1, until: deadline)
            collect()
        } else {
            flush()
        }
    }

    /// Submits, and waits until `count` completions are ready, nothing else is in flight, or the deadline passes.
    /// Returns the number of completions ready.
    public mutating func wait(atLeast count: Int, until deadline: Nanoseconds) -> Int {
        turn()
        while ready.count < min(count, inFlightCount) {
            sleep(atLeast: min(count, inFlightCount) - ready.count, until: deadline)
            collect()
            guard ready.count < count else { break }
            if deadline != .never, Kernel.now() >= deadline { break }
            stageHeld(hasReady: false)
        }
        return ready.count
    }

    /// Makes a thread in `turn(until:)` or `wait(atLeast:until:)` stop its current sleep. May be called from any
    /// thread.
    public borrowing func wake() { engine.wake() }

    /// The errno with which the engine lost its ring; 0 while it has not.
    var lostErrno: Int32 { engine.lostErrno }
    var needsNewThread: Bool { engine.needsNewThread }

    /// Called on the successor thread once the previous one is gone. The kernel dropped that thread's waits, and
    /// reports each only once its event comes: they are staged again now. Transfers with devices run to completion and
    /// report it.
    mutating func goOnAfterThread() {
        issuerChanges &+= 1
        for index in 0..<table.capacity {
            guard let token = table.submittedToken(at: index), engine.isLost(token) else { continue }
            guard table[token].pointee.operation.isWait else { continue }
            engine.giveUp(token)
            settle(Completion(token, result: -ECANCELED))
        }
    }

    /// The kernel cancels a thread's operations when the thread exits, so the queue tracks which thread submits.
    @inline(__always)
    private mutating func noteIssuer() {
        guard !hasDedicatedThread else { return }
        let thread = Kernel.threadID()
        guard thread != issuer else { return }
        issuer = thread
        issuerChanges &+= 1
    }

    // MARK: Up

    /// Moves completions out, oldest first, as many as fit. Their buffers belong to the caller again.
    public mutating func drain(into deliveries: UnsafeMutableBufferPointer<Delivery>) -> Int {
        var count = 0
        while count < deliveries.count, let delivery = popReady() {
            deliveries.initializeElement(at: count, to: delivery)
            count += 1
        }
        return count
    }

    /// Discards all ready completions, before the queue is destroyed: closes descriptors that nobody will take.
    public mutating func discardReady() {
        while let delivery = ready.popFirst() {
            let token = delivery.completion.token
            if table[token].pointee.operation.makesDescriptor, delivery.completion.result >= 0 {
                Kernel.close(delivery.completion.result)
            }
            countOut(delivery)
        }
    }

    @inline(__always)
    private mutating func countOut(_ delivery: Delivery) {
        if table[delivery.completion.token].pointee.operation.isMessage { pace.noteMessage() }
        guard !delivery.completion.flags.contains(.more) else { return goOn(delivery.completion.token) }
        drainedCount &+= 1
        table.release(delivery.completion.token)
    }

    /// Removes the oldest ready completion.
    @inline(__always)
    public mutating func popReady() -> Delivery? {
        guard let delivery = ready.popFirst() else {
            if exported != nil { settleExported() }
            return nil
        }
        countOut(delivery)
        return delivery
    }

    /// Everything is drained, and the caller may wait on the exported descriptor alone: submits the steps that draining
    /// started.
    private mutating func settleExported() {
        if hasStagedAgain {
            hasStagedAgain = false
            engine.enter(atLeast: 0, until: 0)
            drainEngine()
        }
        exported?.settle(isReady: !ready.isEmpty, deadlines.earliest)
    }

    /// Moves the engine's completions and passed deadlines to `ready`.
    @inline(__always)
    private mutating func collect() {
        drainEngine()
        let hasAskedToCancel = deadlines.count > 0 && expire(Kernel.now())
        if hasAskedToCancel || hasStagedAgain {
            // Submitted now: a caller that waits on the exported descriptor alone would otherwise never wake up.
            hasStagedAgain = false
            engine.enter(atLeast: 0, until: 0)
            drainEngine()
        }
        exported?.settle(isReady: !ready.isEmpty, deadlines.earliest)
    }

    @inline(__always)
    private mutating func drainEngine() {
        if engine.lostErrno != 0, !hasNotedLoss {
            hasNotedLoss = true
            // As if the submitting thread had changed: operations that come back without a cancel request are staged
            // again.
            issuerChanges &+= 1
            exported?.add(engine.descriptor)
        }
        while true {
            let count = engine.drain(into: scratch)
            for completion in scratch[..<count] { settle(completion) }
            if count < scratch.count { break }
        }
    }

    /// Handles passed deadlines. Returns true if an operation was asked to end.
    private mutating func expire(_ now: Nanoseconds) -> Bool {
        var hasCancelled = false
        while let slot = deadlines.popPassed(now) {
            let token = table.token(of: slot)
            if case .timeout = table[token].pointee.operation {
                finish(token, 0, [])
            } else if case .repeatingTimeout(let due, let interval) = table[token].pointee.operation {
                expireTimer(token, due: due, interval: interval, now)
            } else if table.isPausing(token), table[token].pointee.deadline > now {
                endPause(token)
            } else {
                table[token].pointee.isDeadlinePassed = true
                requestCancel(token)
                hasCancelled = true
            }
        }
        return hasCancelled
    }

    @inline(__always)
    mutating func finish(_ token: Token, _ result: Int32, _ flags: CompletionFlags) {
        deadlines.remove(token.slot)
        table.complete(token)
        let progress = table[token].pointee.progress
        deliver(token, progress > 0 && result < 0 ? Int32(clamping: progress) : result, flags)
    }

    @inline(__always)
    mutating func deliver(_ token: Token, _ result: Int32, _ flags: CompletionFlags) {
        let slot = table[token]
        var completion = Completion(token, result: result, flags: flags)
        if result > 0, let events = slot.pointee.operation.polledEvents {
            // io_uring also reports POLLRDHUP when it was not requested.
            completion.result = result & Int32(bitPattern: events | CK_POLLERR | CK_POLLHUP | CK_POLLNVAL)
        }
        if slot.pointee.isDeadlinePassed, result == -ECANCELED { completion.flags.insert(.deadlinePassed) }
        ready.append(Delivery(completion: completion, context: slot.pointee.context))
    }

    // MARK: Descriptors and registrations

    /// A descriptor that poll(2) reports as readable while there is something to drain. The queue owns it: the caller
    /// polls it, and neither reads nor closes it. Returns a negative errno if it cannot be created.
    public mutating func exportDescriptor() -> Int32 {
        if let number = exported?.number { return number }
        if pace.isHolding { submit() }
        engine.exportDescriptor()
        do throws(EngineFailure) {
            exported = try ExportedDescriptor(engine.kind, engine.descriptor)
        } catch {
            return -error.errno
        }
        collect()
        return exported?.number ?? -EBADF
    }

    /// Registers files, for ``Descriptor/registered(_:kind:)``, which saves the kernel a lookup per operation. The
    /// queue keeps them open until they are unregistered. Returns 0 or a negative errno. io_uring_register(2),
    /// IORING_REGISTER_FILES.
    public mutating func register(files: UnsafeBufferPointer<Int32>) -> Int { engine.register(files: files) }
    /// Returns 0, or -ENXIO if nothing is registered.
    public mutating func unregisterFiles() -> Int { engine.unregisterFiles() }

    /// Registers memory, for ``Transfer/bufferIndex``, which saves the kernel pinning it per operation. It counts
    /// against RLIMIT_MEMLOCK. The caller keeps ownership. Returns 0 or a negative errno. io_uring_register(2),
    /// IORING_REGISTER_BUFFERS.
    public mutating func register(buffers: UnsafeBufferPointer<iovec>) -> Int { engine.register(buffers: buffers) }
    /// Returns 0, or -ENXIO if nothing is registered.
    public mutating func unregisterBuffers() -> Int { engine.unregisterBuffers() }
}

extension Operation {
    @inline(__always)
    fileprivate var polledEvents: UInt32? {
        switch self {
        case .poll(_, let events), .pollEach(_, let events): events
        default: nil
        }
    }
}
