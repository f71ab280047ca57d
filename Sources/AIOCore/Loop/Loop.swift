internal import Synchronization

/// A thread that owns one engine queue until it is shut down. The kernel ties submitted operations to the submitting
/// thread, and cancels them if it exits.
///
/// Other threads prepare operations and put them into the inbox; code on the loop's own thread stages them directly.
public final class Loop<Client: LoopClient>: @unchecked Sendable {
    // @unchecked: `queue`, `shutdown` and `hasToldOfLoss` belong to the loop's thread; everything else is immutable or
    // thread-safe.

    /// The recipient of completions.
    public let client: Client
    /// The engine that was asked for. After the loss of a ring, `threads` stands in for it.
    public let engineKind: EngineKind
    /// The maximum number of operations in flight, not counting waits.
    public let queueDepth: Int
    /// nil unless the configuration says `isGuest` and the engine supports holds.
    public let holds: FileHolds?
    private let table: InFlightTable
    private let queue: UnsafeMutablePointer<EngineQueue>
    private let inbox: Inbox
    private let cancels: CancelRequests
    private let deliveries: UnsafeMutableBufferPointer<Delivery>
    /// The thread that runs the loop. Another takes over if a ring is lost (`goesOnElsewhere`).
    private let thread: Atomic<UInt>
    /// The same thread's gettid(2), for kcmp(2). Relaxed: after a hand-over the old ID names no thread, and "not
    /// shared" is the safe answer.
    private let kernelThread: Atomic<Int32>
    private var shutdown = LoopShutdown()
    private var hasToldOfLoss = false
    private let phase = Atomic<UInt8>(Phase.running.rawValue)
    /// Threads that may be about to wake the loop: the engine must outlive them.
    private let wakers = Atomic<Int>(0)
    /// Copies of the queue's counters for other threads.
    private let staged = Atomic<UInt>(0)
    private let drained = Atomic<UInt>(0)

    private enum Phase: UInt8 {
        case running
        /// No new operations; accepted ones are executed.
        case draining
        /// No new operations; accepted ones are asked to end.
        case cancelling
        case ended
    }

    /// A loop without a thread of its own, which the calling thread alone drives, by `turn`.
    package convenience init(
        byHand queue: consuming EngineQueue, _ configuration: EngineConfiguration, _ client: Client
    ) {
        let place = UnsafeMutablePointer<EngineQueue>.allocate(capacity: 1)
        place.initialize(to: queue)
        self.init(place, configuration, client)
    }

    /// One round of a loop that is driven by hand. The engine's `enter` decides whether it waits. False once the loop
    /// has ended.
    package func turn() -> Bool {
        // Relaxed: the loop's own thread sets `ended`.
        guard phase.load(ordering: .relaxed) != Phase.ended.rawValue else { return false }
        if step() { return true }
        end()
        return false
    }

    /// When a loop that is driven by hand has to be turned for its deadlines; `.never` without any.
    package var nextDeadline: Nanoseconds {
        // Relaxed: the loop's own thread sets `ended`.
        guard phase.load(ordering: .relaxed) != Phase.ended.rawValue else { return .never }
        return min(queue.pointee.nextDeadline, client.nextDeadline)
    }

    /// Changes whenever a loop that is driven by hand stages or delivers something.
    package var progress: UInt {
        guard phase.load(ordering: .relaxed) != Phase.ended.rawValue else { return .max }
        return queue.pointee.stagedCount &+ queue.pointee.drainedCount
    }

    /// Whether a loop that is driven by hand has to be turned again: messages, cancel requests or jobs have come since
    /// it last looked, for example from an alarm, which runs at the end of a turn.
    package var hasWork: Bool {
        // Relaxed: the loop's own thread sets `ended`.
        guard phase.load(ordering: .relaxed) != Phase.ended.rawValue else { return false }
        return !inbox.isEmpty || !cancels.isEmpty || client.hasJobs()
    }

    /// Runs on the loop's thread, once the engine exists.
    init(_ queue: UnsafeMutablePointer<EngineQueue>, _ configuration: EngineConfiguration, _ client: Client) {
        self.client = client
        self.queue = queue
        engineKind = queue.pointee.engineKind
        queueDepth = configuration.queueDepth
        holds = queue.pointee.holds
        table = queue.pointee.table
        inbox = Inbox(capacity: configuration.placeCount)
        cancels = CancelRequests(capacity: configuration.placeCount)
        // What one delivery takes; the loop delivers again for the rest.
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
        // Relaxed: a thread finds its own ID only if it stored it itself.
        thread.load(ordering: .relaxed) == Kernel.currentThread()
    }

    /// Whether the caller and the loop share a descriptor table: not after unshare(2) with CLONE_FILES. False if
    /// kcmp(2) is unavailable.
    public var sharesCallersFiles: Bool { Kernel.sharesFiles(with: kernelThread.load(ordering: .relaxed)) }

    /// Whether new operations are accepted. Acquire: pairs with the exchange in `beginShutdown`.
    public var isRunning: Bool { phase.load(ordering: .acquiring) == Phase.running.rawValue }

    /// Operations accepted and not yet delivered, as a snapshot that may lag behind. Operations whose completions the
    /// caller has received are not counted.
    public var inFlightCount: Int {
        // Acquire: pairs with the release in `publishCounts`. Every operation counted as drained is then counted as
        // staged too, or the difference could be negative.
        let drained = drained.load(ordering: .acquiring)
        // Relaxed: a statistic otherwise.
        return Int(bitPattern: staged.load(ordering: .relaxed) &- drained)
    }

    /// Called by the receiver of a completion: an acquire that orders the operation's writes before the caller's reads.
    /// The client's hand-over does so too, but ThreadSanitizer does not see that if a continuation is resumed before
    /// its task suspends.
    @inline(__always)
    public func acquireDelivered() { _ = drained.load(ordering: .acquiring) }

    /// Takes a slot and fills it in; nil at the limit, or during shutdown. The caller must then call `stage`.
    @inline(__always)
    public func prepare(_ operation: Operation, context: UInt, deadline: Nanoseconds) -> Token? {
        table.prepare(operation, context: context, deadline: deadline)
    }

    /// Sets the context of a prepared operation that is not staged yet.
    @inline(__always)
    public func setContext(_ context: UInt, of token: Token) {
        assert(table.find(token)?.pointee.state == .unstaged, "the operation is staged, or over")
        table[token].pointee.context = context
    }

    /// Stages a prepared operation. Its completion is delivered to the client. May be called from any thread.
    @inline(__always)
    public func stage(_ token: Token) {
        if isCurrent {
            queue.pointee.stage(token)
        } else {
            wakeIfNeeded { inbox.put(token.slot) }
        }
    }

    /// Requests cancellation of an operation; a no-op if the token is stale, or of a larger queue. May be called from
    /// any thread.
    public func requestCancel(_ token: Token) {
        cancels.put(token)
        wakeIfAsleep()
    }

    /// Requests cancellation of all operations on a descriptor; with nil, of all operations. Returns the number of
    /// operations newly asked. On another thread than the loop's, and after the loop's end, it does nothing.
    public func requestCancelAll(on descriptor: Descriptor?) -> Int {
        // Relaxed: the loop's own thread sets `ended`.
        guard isCurrent, phase.load(ordering: .relaxed) != Phase.ended.rawValue else { return 0 }
        // Includes operations that other threads staged before this call.
        acceptInbox()
        return queue.pointee.requestCancelAll(on: descriptor)
    }

    /// Makes a sleeping loop check its client's jobs.
    public func wakeIfAsleep() {
        wakeIfNeeded { inbox.wakeIsNeeded() }
    }

    /// Sequentially consistent with the inbox: a thread that finds the loop asleep is counted in `wakers` before the
    /// loop, once awake, can read the count and end (use-after-free of the engine).
    @inline(__always)
    private func wakeIfNeeded(_ isNeeded: () -> Bool) {
        wakers.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if isNeeded() { queue.pointee.wake() }
        wakers.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    }

    /// Begins the shutdown: no new operations are accepted, and accepted ones are executed (or, if `cancelling`, asked
    /// to end). Then the client's `loopEnded` is called, and the thread exits.
    public func beginShutdown(cancelling: Bool) {
        let wanted = cancelling ? Phase.cancelling : .draining
        var current = phase.load(ordering: .relaxed)
        while current < wanted.rawValue {
            // Sequentially consistent with the inbox's word, against a lost wake-up: a loop that is falling asleep sees
            // the phase, or is woken.
            let (exchanged, original) = phase.compareExchange(
                expected: current, desired: wanted.rawValue, ordering: .sequentiallyConsistent)
            if exchanged { return wakeIfAsleep() }
            current = original
        }
    }

    // MARK: The loop's thread

    func run() {
        while true {
            if queue.pointee.lostErrno != 0, goesOnElsewhere() { return forgetThread() }
            if !step() { break }
        }
        end()
    }

    /// One round: takes in what other threads put, runs jobs, takes a turn of the engine, which may wait, and delivers.
    /// False if the loop has nothing in flight and its shutdown is complete; `end` must follow.
    @inline(__always)
    private func step() -> Bool {
        acceptInbox()
        let hasMore = client.runJobs()
        // Acquire: pairs with the exchange in `beginShutdown`.
        let phase = phase.load(ordering: .acquiring)
        if phase != Phase.running.rawValue, endsNow(&shutdown, phase) { return false }
        takeTurn(mayWait: !hasMore, phase)
        deliver()
        if client.nextDeadline != .never { client.expire(Kernel.now()) }
        return true
    }

    private func end() {
        assert(queue.pointee.inFlightCount == 0, "the loop ends with operations in flight")
        // Release: pairs with the acquire in `isRunning`.
        phase.store(Phase.ended.rawValue, ordering: .releasing)
        // The loop never sleeps again, so no new waker starts; the current ones finish within moments.
        while wakers.load(ordering: .sequentiallyConsistent) > 0 { Kernel.yieldThread() }
        queue.deinitialize(count: 1)
        client.loopEnded()
        forgetThread()
    }

    /// The thread is about to exit, and libc may give its name to a new one.
    private func forgetThread() { thread.store(0, ordering: .relaxed) }

    /// The engine lost its ring. Returns true if the loop continues on another thread, and this one must exit.
    private func goesOnElsewhere() -> Bool {
        if !hasToldOfLoss {
            hasToldOfLoss = true
            client.engineLost(queue.pointee.lostErrno)
        }
        assert(isCurrent, "the queue is another thread's")
        // If no thread can be started, operations in flight wait until one can; each turn ends after some milliseconds
        // and tries again.
        return queue.pointee.needsNewThread && Kernel.startThread(LoopSuccessor(self)) == 0
    }

    /// Takes over on the successor thread.
    fileprivate func goOn() {
        Kernel.nameThread(.loop)
        // Relaxed: see `isCurrent` and `kernelThread`.
        thread.store(Kernel.currentThread(), ordering: .relaxed)
        kernelThread.store(Kernel.threadID(), ordering: .relaxed)
        queue.pointee.goOnAfterThread()
        run()
    }

    @inline(__always)
    private func acceptInbox() {
        assert(isCurrent, "the queue is another thread's")
        inbox.take { slot in queue.pointee.stage(table.token(of: slot)) }
        cancels.take { token in queue.pointee.requestCancel(token) }
    }

    /// Runs one turn. It waits, unless there are jobs or the phase has changed since it was read.
    @inline(__always)
    private func takeTurn(mayWait: Bool, _ seen: UInt8) {
        // Rechecked after `fallAsleep`, sequentially consistent: work that was added before it woke nobody.
        if mayWait, inbox.fallAsleep(), cancels.isEmpty, phase.load(ordering: .sequentiallyConsistent) == seen,
            !client.hasJobs()
        {
            // The wait may be long: publish the operations staged since the last delivery.
            publishCounts()
            queue.pointee.turn(until: client.nextDeadline)
        } else {
            queue.pointee.turn()
        }
    }

    @inline(__always)
    private func deliver() {
        assert(isCurrent, "the queue is another thread's")
        while true {
            let count = queue.pointee.drain(into: deliveries)
            // Published first: the receiver of a completion must not find its operation still counted.
            publishCounts()
            if count > 0 { client.deliver(UnsafeBufferPointer(rebasing: deliveries[..<count])) }
            if count < deliveries.count { break }
        }
    }

    @inline(__always)
    private func publishCounts() {
        assert(queue.pointee.inFlightCount >= 0, "more operations are drained than were staged")
        // Relaxed: the store of `drained` publishes it.
        staged.store(queue.pointee.stagedCount, ordering: .relaxed)
        // Release: pairs with the acquire in `acquireDelivered`, and with that in `inFlightCount`.
        drained.store(queue.pointee.drainedCount, ordering: .releasing)
    }

    /// Whether the shutdown has acquired every slot of the table: then nothing is in flight, and nothing can be
    /// prepared any more.
    private func endsNow(_ shutdown: inout LoopShutdown, _ phase: UInt8) -> Bool {
        if phase == Phase.cancelling.rawValue, queue.pointee.inFlightCount > 0 {
            // Repeating the request is harmless, and reaches operations staged since.
            queue.pointee.requestCancelAll()
        }
        while table.acquire() != nil { shutdown.placesTaken += 1 }
        while table.acquire(forWait: true) != nil { shutdown.placesTaken += 1 }
        assert(shutdown.placesTaken <= table.capacity, "a slot was taken twice")
        return shutdown.placesTaken == table.capacity
    }
}

private struct LoopShutdown {
    var placesTaken = 0
}

/// The next thread of a loop: takes over once its predecessor, which started it, has exited.
private final class LoopSuccessor<Client: LoopClient>: ThreadBody {
    private let loop: Loop<Client>
    private let predecessor = Kernel.threadID()

    init(_ loop: Loop<Client>) { self.loop = loop }

    override func run() {
        // Signal 0 tests whether the thread exists. The kernel completes the thread's operations before that ends.
        while Kernel.sendSignal(0, thread: predecessor) == 0 { Kernel.sleep(until: Kernel.now() &+ 100_000) }
        loop.goOn()
    }
}
