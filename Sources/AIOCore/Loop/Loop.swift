internal import Synchronization

/// A thread that owns one engine queue and lives until it is shut down: the kernel ties what is submitted to the
/// submitting thread, so that thread must not go away.
///
/// Other threads prepare operations and put them into the inbox; code that runs on the loop's own thread stages
/// directly.
public final class Loop<Client: LoopClient>: @unchecked Sendable {
    // @unchecked: `queue`, `shutdown` and `hasToldOfLoss` belong to the loop's thread; everything else is immutable or made
    // for sharing.

    public let client: Client
    public let engineKind: EngineKind
    public let queueDepth: Int
    /// nil unless the configuration says `isGuest` and the engine can.
    public let holds: FileHolds?
    private let table: InFlightTable
    private let queue: UnsafeMutablePointer<EngineQueue>
    private let inbox: Inbox
    private let cancels: CancelRequests
    private let deliveries: UnsafeMutableBufferPointer<Delivery>
    /// The one that it runs on. Another takes over if a ring is lost (`handOver`).
    private let thread: Atomic<UInt>
    /// The same thread's gettid(2), for kcmp(2). Relaxed: after a hand-over the old number names no thread, and "not shared" is
    /// the safe answer.
    private let kernelThread: Atomic<Int32>
    private var shutdown = LoopShutdown()
    private var hasToldOfLoss = false
    private let phase = Atomic<UInt8>(Phase.running.rawValue)
    /// Threads that may be about to wake the loop: the engine must outlive them.
    private let wakers = Atomic<Int>(0)
    /// Mirrors of the queue's counters for other threads.
    private let staged = Atomic<UInt>(0)
    private let drained = Atomic<UInt>(0)

    private enum Phase: UInt8 {
        case running
        /// No new operations; those accepted are carried out.
        case draining
        /// The same, and they are asked to end.
        case cancelling
        case ended
    }

    /// On the new thread, once the engine is there.
    init(_ queue: UnsafeMutablePointer<EngineQueue>, _ configuration: EngineConfiguration, _ client: Client) {
        self.client = client
        self.queue = queue
        engineKind = queue.pointee.engineKind
        queueDepth = configuration.queueDepth
        holds = queue.pointee.holds
        table = queue.pointee.table
        inbox = Inbox(capacity: configuration.placeCount)
        cancels = CancelRequests(capacity: configuration.placeCount)
        deliveries = .allocate(capacity: 256)
        thread = Atomic(Kernel.currentThread())
        kernelThread = Atomic(Kernel.threadID())
    }

    deinit {
        deliveries.deallocate()
        queue.deallocate()
    }

    // MARK: Any thread

    /// Whether the caller runs on this loop's thread.
    @inline(__always)
    public var isCurrent: Bool {
        // Relaxed: only this thread itself has stored what it finds equal.
        thread.load(ordering: .relaxed) == Kernel.currentThread()
    }

    /// Whether the caller and the loop have one table of descriptors: not after unshare(2) with CLONE_FILES. False where
    /// that cannot be told.
    public var sharesCallersFiles: Bool { Kernel.sharesFiles(with: kernelThread.load(ordering: .relaxed)) }

    /// Whether new operations are accepted.
    public var isRunning: Bool { phase.load(ordering: .acquiring) == Phase.running.rawValue }

    /// Operations accepted and not yet delivered, a moment ago; those whose completions the caller has are not among them.
    public var inFlightCount: Int {
        let drained = drained.load(ordering: .relaxed)
        return Int(bitPattern: staged.load(ordering: .relaxed) &- drained)
    }

    /// For whoever has got a completion: says that what an operation wrote happened before. So does the client's
    /// hand-over, but if that is a continuation resumed before its task waits, ThreadSanitizer does not see it.
    @inline(__always)
    public func acquireDelivered() { _ = drained.load(ordering: .acquiring) }

    /// Accepts an operation; nil at the limit, or when the loop is shutting down. `stage` must follow.
    @inline(__always)
    public func prepare(_ operation: Operation, context: UInt, deadline: Nanoseconds) -> Token? {
        table.prepare(operation, context: context, deadline: deadline)
    }

    /// Sets what comes back with the completion of an operation prepared by the caller and not staged yet.
    @inline(__always)
    public func setContext(_ context: UInt, of token: Token) { table[token].pointee.context = context }

    /// Hands a prepared operation over. Its completion is delivered to the client.
    @inline(__always)
    public func stage(_ token: Token) {
        if isCurrent {
            queue.pointee.stage(token)
        } else {
            wakeIfNeeded { inbox.put(token.slot) }
        }
    }

    /// Asks for an end to an operation. A token whose operation has completed names nothing.
    public func requestCancel(_ token: Token) {
        cancels.put(token)
        wakeIfAsleep()
    }

    /// Asks for an end to everything on a descriptor, or with nil to everything. On the loop's thread; on another, and when
    /// the loop has ended, it does nothing. Returns how many operations were asked.
    public func requestCancelAll(on descriptor: Descriptor?) -> Int {
        guard isCurrent, phase.load(ordering: .relaxed) != Phase.ended.rawValue else { return 0 }
        // What other threads staged before this is to be reached too.
        acceptInbox()
        return queue.pointee.requestCancelAll(on: descriptor)
    }

    /// Makes the loop look at its client's jobs, if it sleeps.
    public func wakeIfAsleep() {
        wakeIfNeeded { inbox.wakeIsNeeded() }
    }

    /// Sequentially consistent with the inbox: whoever finds the loop asleep there is counted before the loop, awake
    /// again, can look at the count and end.
    @inline(__always)
    private func wakeIfNeeded(_ isNeeded: () -> Bool) {
        wakers.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if isNeeded() { queue.pointee.wake() }
        wakers.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    }

    /// Begins the end: nothing new is accepted, what was accepted is carried out (or, `cancelling`, asked to end),
    /// then the client hears `loopEnded` and the thread goes.
    public func beginShutdown(cancelling: Bool) {
        let wanted = cancelling ? Phase.cancelling : .draining
        var current = phase.load(ordering: .relaxed)
        while current < wanted.rawValue {
            // Sequentially consistent with the inbox's word: the loop, falling asleep, sees it or is woken.
            let (exchanged, original) = phase.compareExchange(
                expected: current, desired: wanted.rawValue, ordering: .sequentiallyConsistent)
            if exchanged { return wakeIfAsleep() }
            current = original
        }
    }

    // MARK: The loop's thread

    func run() {
        while true {
            if queue.pointee.lostErrno != 0, goesOnElsewhere() { return }
            acceptInbox()
            let hasMore = client.runJobs()
            let phase = phase.load(ordering: .acquiring)
            if phase != Phase.running.rawValue, endsNow(&shutdown, phase) { break }
            takeTurn(mayWait: !hasMore, phase)
            deliver()
            if client.nextDeadline != .never { client.expire(Kernel.now()) }
        }
        phase.store(Phase.ended.rawValue, ordering: .releasing)
        // The loop never sleeps again, so nobody begins to wake it; those who had begun are at it for a moment.
        while wakers.load(ordering: .sequentiallyConsistent) > 0 { Kernel.yieldThread() }
        queue.deinitialize(count: 1)
        client.loopEnded()
    }

    /// The engine has lost its ring. True if the loop goes on in another thread, and this one ends.
    private func goesOnElsewhere() -> Bool {
        if !hasToldOfLoss {
            hasToldOfLoss = true
            client.engineLost(queue.pointee.lostErrno)
        }
        // Without a thread to be had, what is in flight has to wait for one: each turn is at an end after some milliseconds.
        return queue.pointee.needsNewThread && Kernel.startThread(LoopSuccessor(self)) == 0
    }

    /// On the new thread.
    fileprivate func goOn() {
        Kernel.nameThread("aio-loop")
        thread.store(Kernel.currentThread(), ordering: .relaxed)
        kernelThread.store(Kernel.threadID(), ordering: .relaxed)
        queue.pointee.goOnAfterThread()
        run()
    }

    @inline(__always)
    private func acceptInbox() {
        inbox.take { slot in queue.pointee.stage(table.token(of: slot)) }
        cancels.take { token in queue.pointee.requestCancel(token) }
    }

    /// Submits; and waits, unless there is something else to do, or the phase is another than was looked at.
    @inline(__always)
    private func takeTurn(mayWait: Bool, _ seen: UInt8) {
        // What was begun before the loop said that it sleeps has woken nobody.
        if mayWait, inbox.fallAsleep(), cancels.isEmpty, phase.load(ordering: .sequentiallyConsistent) == seen,
            !client.hasJobs()
        {
            // The wait may be long: what was staged since the last delivery is in flight already.
            publishCounts()
            queue.pointee.turn(until: client.nextDeadline)
        } else {
            queue.pointee.turn()
        }
    }

    @inline(__always)
    private func deliver() {
        while true {
            let count = queue.pointee.drain(into: deliveries)
            // Before: whoever gets a completion does not find its operation counted any more.
            publishCounts()
            if count > 0 { client.deliver(UnsafeBufferPointer(rebasing: deliveries[..<count])) }
            if count < deliveries.count { break }
        }
    }

    @inline(__always)
    private func publishCounts() {
        // Relaxed: who was given a completion sees what came before; to all others it is a number to look at.
        staged.store(queue.pointee.stagedCount, ordering: .relaxed)
        // For `acquireDelivered`.
        drained.store(queue.pointee.drainedCount, ordering: .releasing)
    }

    /// True once every place in the table is taken by the shutdown itself: then nothing is in flight, nothing is
    /// prepared, and nothing can be again.
    private func endsNow(_ shutdown: inout LoopShutdown, _ phase: UInt8) -> Bool {
        if phase == Phase.cancelling.rawValue, queue.pointee.inFlightCount > 0 {
            // Asking again is harmless, and reaches what was staged since.
            queue.pointee.requestCancelAll()
        }
        while table.acquire() != nil { shutdown.placesTaken += 1 }
        while table.acquire(forWait: true) != nil { shutdown.placesTaken += 1 }
        return shutdown.placesTaken == table.capacity
    }
}

private struct LoopShutdown {
    var placesTaken = 0
}

/// The next thread of a loop: begins when the one before, which started it, is gone.
private final class LoopSuccessor<Client: LoopClient>: ThreadBody {
    private let loop: Loop<Client>
    private let predecessor = Kernel.threadID()

    init(_ loop: Loop<Client>) { self.loop = loop }

    override func run() {
        // A signal of 0 asks whether there is such a thread. The kernel sees to its operations before it is gone.
        while Kernel.sendSignal(0, thread: predecessor) == 0 { Kernel.sleep(until: Kernel.now() &+ 100_000) }
        loop.goOn()
    }
}
