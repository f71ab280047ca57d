internal import CKernel

/// An engine and the table of its operations in flight: the common core of a loop and an `IOQueue`, where submissions
/// and completions meet.
///
/// One thread at a time uses a queue, but any thread may call `wake`. The queue does what all engines would need to do.
/// The types that it owns decide, each for one subject and with its own state: `Deadlines`, `Pace`, `Steps`,
/// `WholeWrite`, `RetryPolicy`, `Issuer`. The queue alone stages operations, changes their states in the table and ends
/// them: the way down is `prepare`, `stage`, `submit`; the way up is `settle`, `finish`, `popReady`.
public struct EngineQueue: ~Copyable {
    private typealias Slot = UnsafeMutablePointer<InFlightTable.Slot>

    // Declared before `table`: fields are destroyed in order of declaration, and the end of the engine waits for its
    // workers.
    let engine: EngineInstance
    let table: InFlightTable
    /// Completed and not yet drained.
    var ready: FixedQueue<Delivery>
    private var deadlines: Deadlines
    private var pace: Pace
    private var steps = Steps()
    private let retries: RetryPolicy
    private var issuer: Issuer
    /// The words that cancel futex waits on workers.
    private var futexCancels: FutexCancels
    private let scratch: UnsafeMutableBufferPointer<Completion>
    /// What `exportDescriptor` returned; created on first use.
    private var exported: ExportedDescriptor?

    /// Whether the queue has handled the loss of the engine's ring.
    private var hasNotedLoss = false
    /// Whether operations were staged outside of a turn's submission, so that the engine has yet to submit them.
    private var hasStagedAgain = false
    /// The number of operations staged since the creation. The counter wraps.
    public private(set) var stagedCount: UInt = 0
    /// The number of completions drained since the creation. The counter wraps.
    public private(set) var drainedCount: UInt = 0

    /// Makes a queue over an engine of this kind. Throws the step that failed.
    public init(_ kind: EngineKind, _ configuration: EngineConfiguration) throws(EngineFailure) {
        guard configuration.isInRange else {
            throw EngineFailure(engine: kind, step: .configuration, errno: EINVAL)
        }
        self.init(try EngineInstance(kind, configuration), configuration)
    }

    init(_ engine: consuming EngineInstance, _ configuration: EngineConfiguration) {
        let kind = engine.kind
        self.engine = engine
        retries = RetryPolicy(kind)
        issuer = Issuer(isFixed: configuration.hasDedicatedThread)
        table = InFlightTable(
            capacity: configuration.queueDepth, waitingCapacity: configuration.waitingLimit,
            isShared: configuration.hasDedicatedThread)
        ready = FixedQueue(capacity: configuration.placeCount)
        deadlines = Deadlines(capacity: configuration.placeCount)
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

    /// Whether `exportDescriptor` was called.
    var isExported: Bool { exported != nil }

    /// The number of completions that `drain` would return now.
    public var readyCount: Int { ready.count }

    // MARK: Down

    /// Takes a slot and fills it in; nil at the limit. `context` comes back with the completion.
    ///
    /// The caller must stage the token: an operation that is prepared and never staged leaks its slot. Mutating, since
    /// callers in another module would pass a copy of the whole queue to a borrowing function.
    public mutating func prepare(_ operation: Operation, context: UInt, deadline: Nanoseconds = .never) -> Token? {
        table.prepare(operation, context: context, deadline: deadline)
    }

    /// Hands a prepared operation to the engine, or executes it in the queue.
    @inline(__always)
    public mutating func stage(_ token: Token) {
        stagedCount &+= 1
        assert(inFlightCount <= table.capacity, "more operations are in flight than there are slots")
        let slot = table[token]
        guard table.stage(token) == .submit else { return deliver(token, -ECANCELED, []) }
        slot.pointee.issuerChanges = issuer.changes
        if slot.pointee.deadline != .never, !Deadlines.mayBegin(&slot.pointee) { return finish(token, -ECANCELED, []) }
        switch slot.pointee.operation.traits.handling {
        case .engine, .work:
            deadlines.add(token.slot, slot.pointee.deadline)
            stageInPace(slot, token)
        case .sleep:
            deadlines.add(token.slot, slot.pointee.deadline)
            slot.pointee.operation = futexCancels.prepare(slot.pointee.operation, token.slot)
            engine.stage(&slot.pointee.operation, token)
        case .wholeWrite:
            deadlines.add(token.slot, slot.pointee.deadline)
            table.setWriting(token)
            engine.stage(&slot.pointee.operation, token)
        case .steps:
            deadlines.add(token.slot, slot.pointee.deadline)
            table.setStepping(token)
            stageStep(token, isReady: false)
        case .timer: stageTimer(token)
        case .queue: finish(token, resultAtOnce(token), [])
        }
    }

    /// Executes the operations that the queue handles itself.
    private mutating func resultAtOnce(_ token: Token) -> Int32 {
        switch table[token].pointee.operation {
        case .cancel(let target): requestCancel(target)
        case .cancelAll(let descriptor):
            Int32(truncatingIfNeeded: requestCancelAll(on: descriptor, except: token))
        case .buffers(let call): steps.perform(call)
        // No other operation has the handling `queue`.
        default: -EINVAL
        }
    }

    private mutating func stageStep(_ token: Token, isReady: Bool) {
        switch steps.next(table[token], isReady: isReady) {
        case .stage(let step): engine.stage(step, token)
        case .awaitReadiness(let poll):
            table.setAwaitingReadiness(token, true)
            engine.stage(poll, token)
        case .finish(let result): finish(token, result, [])
        }
    }

    private mutating func stageTimer(_ token: Token) {
        let slot = table[token]
        // Not with an interval of zero.
        let isValid = deadlines.addTimer(token.slot, slot.pointee.operation, slot.pointee.deadline)
        guard isValid else { return finish(token, -EINVAL, []) }
        if slot.pointee.operation.isRepeating { table.setStepping(token) }
        armExported()
    }

    /// Stages an operation, or holds it for a later turn.
    @inline(__always)
    private mutating func stageInPace(_ slot: Slot, _ token: Token) {
        // Not with an exported descriptor: a caller that waits on it takes no turns.
        guard exported == nil, !slot.pointee.operation.isWait, pace.hold(token) else {
            return engine.stage(&slot.pointee.operation, token)
        }
        table.setHeld(token, true)
    }

    /// Called at the start of a turn. `hasReady`: completions of the previous turn are still to be drained.
    @inline(__always)
    private mutating func stageHeld(hasReady: Bool) {
        let allowance = pace.allowance(hasReady: hasReady)
        if pace.isHolding { stageHeld(atMost: allowance) }
    }

    private mutating func stageHeld(atMost limit: Int) {
        var count = 0
        while count < limit, let token = pace.popFirst() {
            guard let slot = table.find(token), slot.pointee.state == .held else { continue }
            table.setHeld(token, false)
            slot.pointee.issuerChanges = issuer.changes
            engine.stage(&slot.pointee.operation, token)
            count += 1
        }
    }

    /// Stages an operation once more.
    private mutating func stageAgain(_ token: Token, isReady: Bool = false) {
        hasStagedAgain = true
        let slot = table[token]
        if slot.pointee.isInSteps { return stageStep(token, isReady: isReady) }
        engine.stage(&slot.pointee.operation, token)
    }

    // MARK: Cancelling

    /// Requests cancellation of an operation. Only the operation's own completion tells the outcome.
    ///
    /// Returns 0 (requested), -ENOENT (no such operation, or it has completed) or -EALREADY (requested before, or the
    /// operation is a release, which is never cancelled: ``Operation/isRelease``).
    @discardableResult
    public mutating func requestCancel(_ token: Token) -> Int32 {
        switch table.requestCancel(token) {
        case .unknown: return -ENOENT
        case .requestedBefore, .isRelease: return -EALREADY
        case .endsWhenStaged: break
        case .isWithNobody: finish(token, -ECANCELED, [])
        case .askEngine: cancelStaged(token)
        }
        return 0
    }

    private mutating func cancelStaged(_ token: Token) {
        let operation = table[token].pointee.operation
        switch operation.traits.handling {
        case .timer: return finish(token, -ECANCELED, [])
        // A cancel whose target is itself: `stage` completes it.
        case .queue: return
        case .work:
            // The engine takes back work that has not begun; running work checks the request between two system calls.
            if case .work(let work) = operation { work.takeUnretainedValue().requestEnd() }
        case .sleep: futexCancels.cancel(token.slot)
        case .engine, .wholeWrite, .steps: break
        }
        engine.requestCancel(token)
    }

    // MARK: Waiting

    /// Submits everything staged to the kernel or the workers, throttled operations included. Never waits for a device.
    public mutating func submit() {
        issuer.noteThread()
        stageHeld(atMost: .max)
        engine.enter(atLeast: 0, until: 0)
        collect()
    }

    /// One turn without a wait: submits what the pacing allows (`Pace`), and collects completions.
    public mutating func turn() {
        issuer.noteThread()
        stageHeld(hasReady: !ready.isEmpty)
        engine.enter(atLeast: 0, until: 0)
        collect()
    }

    /// One turn: submits, waits until a completion is ready, `wake` is called or the deadline passes, and collects
    /// completions. May return early.
    public mutating func turn(until deadline: Nanoseconds) {
        issuer.noteThread()
        stageHeld(hasReady: !ready.isEmpty)
        if ready.isEmpty, deadlines.earliest > 0 {
            sleep(atLeast: 1, until: deadline)
        } else {
            engine.enter(atLeast: 0, until: 0)
        }
        collect()
    }

    /// Submits, and waits until `count` completions are ready, nothing else is in flight, or the deadline passes.
    /// Returns the number of completions ready.
    public mutating func wait(atLeast count: Int, until deadline: Nanoseconds) -> Int {
        issuer.noteThread()
        stageHeld(hasReady: !ready.isEmpty)
        // The first sleep submits as well: one system call.
        if isMissing(count) { sleep(forTotal: count, until: deadline) } else { engine.enter(atLeast: 0, until: 0) }
        collect()
        while isMissing(count), deadline == .never || Kernel.now() < deadline {
            stageHeld(hasReady: false)
            sleep(forTotal: count, until: deadline)
            collect()
        }
        return ready.count
    }

    /// Whether fewer than `count` completions are ready, and more can come.
    @inline(__always)
    private func isMissing(_ count: Int) -> Bool { ready.count < min(count, inFlightCount) }

    @inline(__always)
    private mutating func sleep(forTotal count: Int, until deadline: Nanoseconds) {
        sleep(atLeast: min(count, inFlightCount) - ready.count, until: deadline)
    }

    /// Makes a thread in `turn(until:)` or `wait(atLeast:until:)` stop its current sleep. May be called from any
    /// thread.
    public borrowing func wake() { engine.wake() }

    /// When the queue has to be turned for its deadlines and timers.
    package var nextDeadline: Nanoseconds {
        pace.isHolding ? min(deadlines.earliest, Kernel.now() &+ Pace.patience) : deadlines.earliest
    }

    /// The errno with which the engine lost its ring; 0 while it has not.
    var lostErrno: Int32 { engine.lostErrno }
    var needsNewThread: Bool { engine.needsNewThread }

    /// Called on the successor thread once the previous one is gone. The kernel dropped that thread's waits, and
    /// reports each only once its event comes: they are staged again now. Transfers with devices run to completion and
    /// report it.
    package mutating func goOnAfterThread() {
        issuer.noteLoss()
        for index in 0..<table.capacity {
            guard let token = table.submittedToken(at: index), engine.isLost(token),
                table[token].pointee.operation.isWait
            else { continue }
            engine.giveUp(token)
            settle(Completion(token, result: -ECANCELED))
        }
    }

    /// Waits for `count` completions; while operations are held, for one, and at most `Pace.patience`.
    @inline(__always)
    private mutating func sleep(atLeast count: Int, until deadline: Nanoseconds) {
        let end = min(deadline, deadlines.earliest)
        guard pace.isHolding else { return engine.enter(atLeast: count, until: end) }
        let start = Kernel.now()
        engine.enter(atLeast: 1, until: min(end, start &+ Pace.patience))
        pace.noteSleep(Kernel.now() &- start)
    }

    // MARK: Up

    /// Called for each completion that leaves the queue.
    @inline(__always)
    mutating func countOut(_ delivery: Delivery) {
        if table[delivery.completion.token].pointee.operation.isMessage { pace.noteMessage() }
        guard !delivery.completion.flags.contains(.more) else { return goOn(delivery.completion.token) }
        drainedCount &+= 1
        assert(inFlightCount >= 0, "more operations are drained than were staged")
        table.release(delivery.completion.token)
    }

    /// Continues a repeating operation after one of its completions was drained.
    private mutating func goOn(_ token: Token) {
        let slot = table[token]
        table.setStepping(token)
        guard !slot.pointee.isCancelRequested else { return finish(token, -ECANCELED, []) }
        if deadlines.addTimer(token.slot, slot.pointee.operation, slot.pointee.deadline) { return }
        slot.pointee.issuerChanges = issuer.changes
        stageAgain(token)
    }

    /// Removes the oldest ready completion.
    @inline(__always)
    public mutating func popReady() -> Delivery? {
        guard let delivery = ready.popFirst() else {
            if exported != nil {
                if hasStagedAgain { issuer.noteThread() }
                settleExported()
            }
            return nil
        }
        countOut(delivery)
        return delivery
    }

    /// Moves the engine's completions and passed deadlines to `ready`.
    @inline(__always)
    private mutating func collect() {
        drainEngine()
        if !deadlines.isEmpty, expire(Kernel.now()) { hasStagedAgain = true }
        if hasStagedAgain || exported != nil { settleExported() }
    }

    /// Submits what was staged while completions were collected or drained: a caller that waits on the exported
    /// descriptor alone would otherwise never wake up.
    private mutating func settleExported() {
        if hasStagedAgain {
            hasStagedAgain = false
            engine.enter(atLeast: 0, until: 0)
            drainEngine()
        }
        armExported()
    }

    /// What was staged while completions were collected waits for the next call: a loop instead might not end.
    private mutating func armExported() {
        exported?.settle(isReady: !ready.isEmpty || hasStagedAgain, deadlines.earliest)
    }

    @inline(__always)
    private mutating func drainEngine() {
        if engine.lostErrno != 0, !hasNotedLoss {
            hasNotedLoss = true
            // As if the submitting thread had changed: operations that come back without a cancel request are staged
            // again.
            issuer.noteLoss()
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
            switch Deadlines.event(of: table[token].pointee, now) {
            case .timeout: finish(token, 0, [])
            case .ticks(let count, let next):
                table[token].pointee.operation = next
                deliverMore(token, count, [])
            case .retry:
                table.setPausing(token, false)
                deadlines.add(slot, table[token].pointee.deadline)
                stageAgain(token)
            case .deadline:
                table[token].pointee.isDeadlinePassed = true
                requestCancel(token)
                hasCancelled = true
            }
        }
        return hasCancelled
    }

    /// Decides whether a completion of the engine ends its operation or leads to another attempt.
    @inline(__always)
    private mutating func settle(_ completion: Completion) {
        guard let slot = table.find(completion.token) else { return }
        if slot.pointee.state == .submitted, completion.result >= 0 {
            return finish(completion.token, completion.result, completion.flags)
        }
        settleOther(completion, slot)
    }

    /// A completion that is not a plain success.
    private mutating func settleOther(_ completion: Completion, _ slot: Slot) {
        let token = completion.token
        switch decide(completion, slot) {
        case .finish(let result, let flags): finish(token, result, flags)
        case .deliverMore(let result, let flags): deliverMore(token, result, flags)
        case .judge(let result): settle(Completion(token, result: result))
        case .awaitReadiness(let poll):
            table.setAwaitingReadiness(token, true)
            hasStagedAgain = true
            engine.stage(poll, token)
        case .pause:
            table.setPausing(token, true)
            deadlines.pause(token.slot, slot.pointee.deadline)
        case .stageAgain(let form, let isReady):
            slot.pointee.operation = form
            stageAgain(token, isReady: isReady)
        case .stageDropped:
            slot.pointee.issuerChanges = issuer.changes
            stageAgain(token)
        case .stageWithWorker:
            hasStagedAgain = true
            engine.stageWithWorker(slot.pointee.operation, token)
        }
    }

    private mutating func decide(_ completion: Completion, _ slot: Slot) -> Decision {
        let state = slot.pointee.state
        switch state {
        case .stepping where completion.result >= 0: return steps.decide(completion, slot)
        case .stepping: steps.giveBackBuffer(slot)
        case .writing where completion.result >= 0: return WholeWrite.decide(completion, &slot.pointee)
        case .awaitingReadiness: table.setAwaitingReadiness(completion.token, false)
        case .submitted, .writing: break
        case .unstaged, .pausing, .held, .resting, .completed:
            assertionFailure("a completion of an operation that no engine has")
        }
        return retries.decide(
            completion, slot.pointee, wasAwaiting: state == .awaitingReadiness, issuerChanges: issuer.changes)
    }

    /// Delivers an operation's last completion.
    @inline(__always)
    private mutating func finish(_ token: Token, _ result: Int32, _ flags: CompletionFlags) {
        deadlines.remove(token.slot)
        table.complete(token)
        let progress = table[token].pointee.progress
        deliver(token, progress > 0 && result < 0 ? Int32(clamping: progress) : result, flags)
    }

    /// Delivers one of an operation's completions; the operation goes on when that is drained (`goOn`).
    private mutating func deliverMore(_ token: Token, _ result: Int32, _ flags: CompletionFlags) {
        table.setResting(token)
        deliver(token, result, flags.union(.more))
    }

    @inline(__always)
    private mutating func deliver(_ token: Token, _ result: Int32, _ flags: CompletionFlags) {
        ready.append(table[token].pointee.delivery(Completion(token, result: result, flags: flags)))
    }

    // MARK: In another event loop

    /// A descriptor that poll(2) reports as readable while there is something to drain. The queue owns it: the caller
    /// polls it, and neither reads nor closes it. Returns a negative errno if it cannot be created.
    public mutating func exportDescriptor() -> Int32 {
        if let number = exported?.number { return number }
        issuer.noteThread()
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
}
