public import CKernel

/// An engine and the table of what it has in flight: what a loop or an `IOQueue` owns, and where an operation's
/// way down and its completion's way up meet.
///
/// One thread at a time uses a queue; `prepare` alone may be called from any. What engines leave undone is done
/// here, once for all of them: deadlines and timeouts, cancels, waiting for a descriptor after EAGAIN, and carrying
/// on with what the kernel dropped because the thread that submitted it went away.
public struct EngineQueue: ~Copyable {
    let table: InFlightTable
    let engine: EngineInstance
    private let hasDedicatedThread: Bool
    /// Completed, not yet drained.
    private var ready: FixedQueue<Delivery>
    var deadlines: DeadlineHeap
    /// What receives take their buffers from.
    var groups = BufferGroups()
    /// What ends a wait of a worker's for a futex.
    private var futexCancels: FutexCancels
    var pace: Pace
    private let scratch: UnsafeMutableBufferPointer<Completion>
    /// What `descriptor` gave away; made when first asked for.
    private var exported: ExportedDescriptor?

    /// Whether it is known that the engine lost its ring.
    private var hasNotedLoss = false
    /// Whether `settle` gave the engine something that it has not submitted yet.
    var hasStagedAgain = false
    /// The thread that submitted last, and how often that has changed.
    private var issuer: Int32 = 0
    private(set) var issuerChanges: UInt32 = 0
    /// Operations accepted and completions drained since the beginning. Both wrap.
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

    /// The caller has drained everything: an operation still in flight would write into memory that nobody keeps.
    deinit {
        engine.destroy()
        scratch.deallocate()
    }

    public var engineKind: EngineKind { engine.kind }

    /// Holds files from other threads; nil unless the configuration says `isGuest` and the engine can.
    public var holds: FileHolds? { engine.holds }

    /// Operations staged and not yet drained.
    public var inFlightCount: Int { Int(bitPattern: stagedCount &- drainedCount) }

    var isExported: Bool { exported != nil }

    /// Completions that `drain` would return now.
    public var readyCount: Int { ready.count }

    // MARK: Down

    /// Accepts an operation; nil at the limit. From any thread. `context` comes back with the completion.
    ///
    /// It must be staged next: an operation prepared and never staged holds its place for ever.
    public borrowing func prepare(_ operation: Operation, context: UInt, deadline: Nanoseconds = .never) -> Token? {
        table.prepare(operation, context: context, deadline: deadline)
    }

    /// Gives a prepared operation to the engine.
    @inline(__always)
    public mutating func stage(_ token: Token) {
        stagedCount &+= 1
        let slot = table[token]
        guard table.stage(token) == .submit else { return deliver(token, -ECANCELED, []) }
        slot.pointee.issuerChanges = issuerChanges
        if slot.pointee.deadline != .never, !mayBegin(token) { return }
        switch slot.pointee.operation {
        case .timeout(let deadline):
            slot.pointee.deadline = min(deadline, slot.pointee.deadline)
            deadlines.insert(token.slot, slot.pointee.deadline)
            exported?.arm(deadlines.earliest)
        case .cancel(let target):
            finish(token, requestCancel(target), [])
        case .cancelAll(let descriptor):
            finish(token, Int32(truncatingIfNeeded: requestCancelAll(on: descriptor, except: token)), [])
        case .repeatingTimeout(let first, let interval):
            stageTimer(token, first: first, interval: interval)
            exported?.arm(deadlines.earliest)
        case .buffers(let call):
            finish(token, groups.perform(call), [])
        case .pollEach, .socket(.acceptEach), .socket(.receiveBuffered):
            stageSteps(token)
        case .futexWait(let wait):
            if slot.pointee.deadline != .never { deadlines.insert(token.slot, slot.pointee.deadline) }
            slot.pointee.operation = .futexWait(futexCancels.prepare(wait, token.slot))
            engine.stage(slot.pointee.operation, token)
        case .write(let transfer) where transfer.flags.contains(.whole),
            .writeVectored(let transfer) where transfer.flags.contains(.whole):
            stageWholeWrite(token)
        case let operation:
            if slot.pointee.deadline != .never { deadlines.insert(token.slot, slot.pointee.deadline) }
            stageInPace(operation, token)
        }
    }

    /// Whether an operation with a deadline may begin: not after it. What gives something up heeds none.
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

    /// Asks for an end to an operation. What comes of it, its own completion tells.
    ///
    /// Returns 0 (asked), or negative ENOENT (no such operation, or completed) or EALREADY (asked before, or it gives
    /// something up, which is not taken back: `Operation.isRelease`).
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
        switch table[token].pointee.operation {
        case .timeout, .repeatingTimeout:
            finish(token, -ECANCELED, [])
        case .work(let work):
            // What no worker has begun, the engine takes back; what runs, looks for this between two calls.
            work.takeUnretainedValue().requestEnd()
            engine.requestCancel(token)
        case .futexWait:
            // The same for a worker that sleeps.
            futexCancels.cancel(token.slot)
            engine.requestCancel(token)
        default:
            engine.requestCancel(token)
        }
        return 0
    }

    /// Asks for an end to everything that is in flight on a descriptor, or with nil on this queue. Returns how many
    /// operations were asked, not counting those that had been before.
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

    /// Hands everything staged to the kernel or the workers; never waits for a device.
    public mutating func submit() {
        noteIssuer()
        stageHeld(atMost: .max)
        flush()
    }

    /// One turn without a wait: submits what has room in a turn (`EngineQueuePacing`), and collects.
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

    /// One turn: submits, waits until something is ready, `wake` was called or the deadline passed, and collects.
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

    /// Submits, and waits until `count` completions are ready, nothing is left in flight, or the deadline passed.
    /// Returns the number ready.
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

    /// Makes a thread in `turn` return. From any thread.
    public borrowing func wake() { engine.wake() }

    /// Why the engine cannot use its ring any more; 0 as long as it can.
    var lostErrno: Int32 { engine.lostErrno }
    var needsNewThread: Bool { engine.needsNewThread }

    /// On the new thread, when the one before is gone. What waited for somebody else there the kernel carries out no more,
    /// and says so only when that comes: it is staged again now. Transfers with devices come to their end, and tell.
    mutating func goOnAfterThread() {
        issuerChanges &+= 1
        for index in 0..<table.capacity {
            guard let token = table.submittedToken(at: index), engine.isLost(token) else { continue }
            guard table[token].pointee.operation.isWait else { continue }
            engine.giveUp(token)
            settle(Completion(token, result: -ECANCELED))
        }
    }

    /// A thread's operations end with it; so it is noted which one submits.
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

    /// Drops all that is ready, for whoever ends the queue: a descriptor that nobody takes is closed.
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

    /// The oldest completion, if there is one.
    @inline(__always)
    public mutating func popReady() -> Delivery? {
        guard let delivery = ready.popFirst() else {
            if exported != nil { settleExported() }
            return nil
        }
        countOut(delivery)
        return delivery
    }

    /// Everything is drained, and somebody may wait for the exported descriptor alone: what went on because of that is the
    /// engine's business now.
    private mutating func settleExported() {
        if hasStagedAgain {
            hasStagedAgain = false
            engine.enter(atLeast: 0, until: 0)
            drainEngine()
        }
        exported?.settle(isReady: !ready.isEmpty, deadlines.earliest)
    }

    /// Brings what the engine completed, and what the clock did, to `ready`.
    @inline(__always)
    private mutating func collect() {
        drainEngine()
        let hasAskedToCancel = deadlines.count > 0 && expire(Kernel.now())
        if hasAskedToCancel || hasStagedAgain {
            // The engine hears of it now: whoever waits for the exported descriptor alone would wait for ever.
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
            // As if the thread had changed: what comes back without having been asked to is staged again.
            issuerChanges &+= 1
            exported?.add(engine.descriptor)
        }
        while true {
            let count = engine.drain(into: scratch)
            for completion in scratch[..<count] { settle(completion) }
            if count < scratch.count { break }
        }
    }

    /// True if an operation is to be cancelled.
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
            // io_uring also reports a hang-up of the other side that was not asked for.
            completion.result = result & Int32(bitPattern: events | CK_POLLERR | CK_POLLHUP | CK_POLLNVAL)
        }
        if slot.pointee.isDeadlinePassed, result == -ECANCELED { completion.flags.insert(.deadlinePassed) }
        ready.append(Delivery(completion: completion, context: slot.pointee.context))
    }

    // MARK: Descriptors and registrations

    /// A descriptor that poll(2) finds readable while there is something to drain. It is the queue's: to be waited
    /// for, not to be read or closed. Negative: the errno with which making it failed.
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

    /// Registers files: `Descriptor.registered(index)` then names them without the kernel's looking each up per
    /// operation. The queue holds them open. io_uring_register(2), IORING_REGISTER_FILES.
    public mutating func register(files: UnsafeBufferPointer<Int32>) -> Int { engine.register(files: files) }
    public mutating func unregisterFiles() -> Int { engine.unregisterFiles() }

    /// Registers memory: `Transfer.bufferIndex` then spares the kernel pinning it per operation. It counts against
    /// RLIMIT_MEMLOCK, and stays the caller's. io_uring_register(2), IORING_REGISTER_BUFFERS.
    public mutating func register(buffers: UnsafeBufferPointer<iovec>) -> Int { engine.register(buffers: buffers) }
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
