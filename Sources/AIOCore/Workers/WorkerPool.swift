internal import CKernel
internal import Synchronization

/// A bounded pool of threads for operations that can only be executed by blocking calls. Threads start on demand and
/// exit when idle.
///
/// There are four classes of work:
///
/// *Blocking* work (fsync, open, direct I/O, ...) occupies a thread each, up to the limit.
///
/// *Remote* work (files of network and FUSE file systems, futex waits) does so too, but on three quarters of the
/// threads at most (and at least one): it may block indefinitely, and must not block the rest.
///
/// *Waiting* work (opening a FIFO, reading a terminal) blocks until another party acts. It has threads of its own, up
/// to the same limit again, and a cancel interrupts it (`WaitingWork.swift`).
///
/// *Quick* work (buffered reads and writes) rarely blocks for long, and context switches would cost more than it does.
/// One worker serves it in order. It first starts readahead(2) for everything queued, so that the device sees the whole
/// queue depth, and then collects the pages, most of which have arrived by then. Another worker watches it, and takes
/// over the rest if it gets stuck.
///
/// One worker stays permanently, since it may be impossible to start a thread later (`RLIMIT_NPROC`, a container's
/// `pids.max`). Work without a thread waits for the existing ones while starting is retried; with none at all, the
/// thread that drives the engine executes blocking and quick work itself, and after a second remote calls too. No
/// operation fails for lack of a thread.
class WorkerPool: ThreadBody, @unchecked Sendable {
    // @unchecked: `state` and `items` are accessed under `lock` only; `finished` and `results` as described at `Inbox`.

    let lock = Lock()
    let condition = Condition()
    let state: UnsafeMutablePointer<State>
    let items: UnsafeMutablePointer<WorkItem>
    let limit: Int
    private let remoteLimit: Int
    /// How long an idle worker stays.
    private let idleTime: Nanoseconds
    /// How long remote calls wait for a thread in a pool without any.
    private let strandedTime: Nanoseconds

    /// Slots of finished work, on their way to the engine.
    let finished: Inbox
    private let results: UnsafeMutablePointer<Completion>
    /// Wakes the engine when `finished` has something.
    private let waker: Waker?
    /// Whether starting a thread failed while there was work for it. Relaxed: a reader checks again under the lock.
    let shortage = Atomic<Bool>(false)

    struct State {
        var blocking = WorkList()
        /// Blocking work on remote files, and the threads that execute it.
        var remote = WorkList()
        var remoteWorkers = 0
        /// Since when remote work has waited in a pool without any thread; `.never` if it does not.
        var strandedSince = Nanoseconds.never
        /// Quick work before and after its readahead.
        var incoming = WorkList()
        var advised = WorkList()
        var waiting = WorkList()
        /// Threads for waiting work, not included in `threadCount`.
        var waitingThreads = 0
        /// Those that have not taken work yet.
        var waitingStarting = 0
        var threadCount = 0
        var idleCount = 0
        /// Workers at quick work, and whether one watches them.
        var quickWorkers = 0
        var isWatched = false
        /// Counts finished quick work, for the watcher to detect progress.
        var quickProgress: UInt = 0
        var isStopping = false
    }

    /// Five idle seconds outlast the pauses of a program at work, and give the stacks back soon.
    init(
        capacity: Int, limit: Int, _ waker: Waker?, idleTime: Nanoseconds = 5_000_000_000,
        strandedTime: Nanoseconds = 1_000_000_000
    ) {
        state = .allocate(capacity: 1)
        state.initialize(to: State())
        items = .allocate(capacity: capacity)
        items.initialize(repeating: WorkItem(), count: capacity)
        results = .allocate(capacity: capacity)
        finished = Inbox(capacity: capacity)
        self.limit = max(limit, 1)
        remoteLimit = EngineConfiguration.remoteLimit(ofWorkers: self.limit)
        self.idleTime = idleTime
        self.strandedTime = strandedTime
        self.waker = waker
    }

    deinit {
        state.deallocate()
        items.deallocate()
        results.deallocate()
    }

    // MARK: The engine's side

    /// Adds a batch.
    func add(_ batch: inout FixedQueue<WorkItem>) {
        guard !batch.isEmpty else { return }
        lock.lock()
        defer { lock.unlock() }
        while let item = batch.popFirst() { enqueue(item) }
        callWorkers()
    }

    /// Adds one item; from any thread.
    final func add(_ item: WorkItem) {
        lock.lock()
        enqueue(item)
        callWorkers()
        lock.unlock()
    }

    /// Under the lock.
    private func enqueue(_ item: WorkItem) {
        assert(lock.isHeld)
        assert(items[item.slot].state != .queued, "the slot's last item waits for a worker still")
        items[item.slot] = item
        items[item.slot].state = .queued
        if item.isWaiting {
            state.pointee.waiting.append(item.slot, items)
        } else if item.isQuick {
            state.pointee.incoming.append(item.slot, items)
        } else if item.isRemote {
            state.pointee.remote.append(item.slot, items)
        } else {
            state.pointee.blocking.append(item.slot, items)
        }
    }

    /// Removes work that no worker has begun. False if one has, or it has finished.
    func remove(_ token: Token) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        let item = items + Int(token.slot)
        guard item.pointee.token == token, item.pointee.state == .queued else {
            // Interrupts waiting work. A worker that only tests for readiness ends the item once it is not ready.
            if item.pointee.token == token {
                item.pointee.isCancelRequested = true
                interrupt(item, token)
            }
            return false
        }
        if item.pointee.isWaiting {
            state.pointee.waiting.remove(Int(token.slot), items)
        } else if item.pointee.isRemote {
            state.pointee.remote.remove(Int(token.slot), items)
        } else if !item.pointee.isQuick {
            state.pointee.blocking.remove(Int(token.slot), items)
        } else if item.pointee.isAdvised {
            state.pointee.advised.remove(Int(token.slot), items)
        } else {
            state.pointee.incoming.remove(Int(token.slot), items)
        }
        item.pointee.state = .idle
        return true
    }

    /// Moves the completions of all finished work, and calls `each` with their tokens.
    @inline(__always)
    func takeFinished(into completed: inout FixedQueue<Completion>, each: (Token) -> Void = { _ in }) {
        finished.take { slot in
            completed.append(results[Int(slot)])
            each(results[Int(slot)].token)
        }
    }

    /// The current number of workers.
    var threadCount: Int {
        lock.lock()
        defer { lock.unlock() }
        return state.pointee.threadCount
    }

    /// Waits until all work is done and every thread has exited.
    func shutDown() {
        lock.lock()
        state.pointee.isStopping = true
        condition.broadcast()
        while state.pointee.threadCount + state.pointee.waitingThreads > 0 { condition.wait(lock) }
        lock.unlock()
    }

    // MARK: Threads

    /// Starts the permanent worker, if possible.
    func startFirst() {
        lock.lock()
        if state.pointee.threadCount == 0 { _ = startWorker() }
        lock.unlock()
    }

    /// Whether work waits for lack of threads: `help` must then be called repeatedly.
    @inline(__always)
    var isShortOfThreads: Bool { shortage.load(ordering: .relaxed) }

    /// On the thread that drives the engine: tries again to start threads. If the pool has none, it executes one work
    /// item itself, but no waiting work, and remote work as a last resort alone (`popStranded`). `includingRemote`
    /// allows remote work at once, for a thread that serves nothing else. Returns whether it executed an item.
    @discardableResult
    final func help(includingRemote: Bool = false) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        shortage.store(false, ordering: .relaxed)
        callWorkers()
        guard state.pointee.threadCount == 0 else {
            state.pointee.strandedSince = .never
            return false
        }
        endChangedFutexWaits()
        let slot =
            state.pointee.blocking.popFirst(items) ?? state.pointee.incoming.popFirst(items)
            ?? state.pointee.advised.popFirst(items) ?? popStranded(atOnce: includingRemote)
        if let slot { run(slot) }
        return slot != nil
    }

    /// Under the lock, without any thread: the next remote call, once such calls have waited for a thread for
    /// `strandedTime`, or `atOnce`.
    ///
    /// The call may block the engine's thread for as long as a server does not answer, and with it all cancels and
    /// deadlines. Hence the time: most shortages of threads are over by then, and until then the call can be
    /// cancelled. But a process that never gets a thread, as under a `pids.max` of its present size, would otherwise
    /// wait for ever for a server that answers at once. Futex waits stay: the thread that they would block may be the
    /// one that has to wake them, and `endChangedFutexWaits` ends them without a thread.
    private func popStranded(atOnce: Bool) -> Int? {
        assert(lock.isHeld)
        var next = state.pointee.remote.first
        while let slot = next, items[slot].isFutexWait { next = state.pointee.remote.after(slot, items) }
        guard let slot = next else {
            state.pointee.strandedSince = .never
            return nil
        }
        let now = Kernel.now()
        state.pointee.strandedSince = min(state.pointee.strandedSince, now)
        guard atOnce || now - state.pointee.strandedSince >= strandedTime else { return nil }
        state.pointee.remote.remove(slot, items)
        return slot
    }

    /// Under the lock: wakes or starts as many workers as the queued work needs.
    func callWorkers() {
        assert(lock.isHeld)
        callWaitingWorkers()
        var wanted = state.pointee.blocking.count + remoteWanted
        if state.pointee.quickWorkers == 0, hasQuickWork { wanted += 1 }
        var waking = min(wanted, state.pointee.idleCount)
        var starting = min(wanted - waking, limit - state.pointee.threadCount)
        while waking > 0 {
            condition.signal()
            waking -= 1
        }
        while starting > 0, startWorker() { starting -= 1 }
    }

    /// Under the lock. False if the system refuses another thread; the work then waits for the existing ones.
    private func startWorker() -> Bool {
        assert(lock.isHeld)
        assert(state.pointee.threadCount < limit, "more threads than the limit allows")
        guard Kernel.startThread(self) == 0 else {
            shortage.store(true, ordering: .relaxed)
            return false
        }
        state.pointee.threadCount += 1
        return true
    }

    /// The main function of a worker.
    override func run() {
        Kernel.nameThread(.worker)
        lock.lock()
        while true {
            if let slot = state.pointee.blocking.popFirst(items) {
                // This may have been the watcher, or the worker that was called to watch.
                if needsWatcher { callWatcher() }
                run(slot)
            } else if state.pointee.quickWorkers == 0, hasQuickWork {
                serveQuick()
            } else if remoteWanted > 0, let slot = state.pointee.remote.popFirst(items) {
                if needsWatcher { callWatcher() }
                assert(state.pointee.remoteWorkers < remoteLimit, "remote work takes more than its share")
                state.pointee.remoteWorkers += 1
                run(slot)
                state.pointee.remoteWorkers -= 1
            } else if state.pointee.isStopping || !waitForWork() {
                break
            }
        }
        assert(state.pointee.threadCount > 0, "a worker that was not counted")
        state.pointee.threadCount -= 1
        // `shutDown` counts the threads.
        condition.broadcast()
        lock.unlock()
    }

    /// Under the lock: waits for a call, as the watcher if there is none. False if this worker is not needed.
    private func waitForWork() -> Bool {
        assert(lock.isHeld)
        guard needsWatcher else {
            let wasCalled = wait(isLast ? .never : Kernel.now() &+ idleTime)
            // The last worker stays; it may have become the last meanwhile, since all idle times end together. Any
            // other rechecks: a call just now may count on it (lost wake-up).
            return wasCalled || isLast || hasWork || needsWatcher
        }
        assert(!state.pointee.isWatched, "two workers watch")
        state.pointee.isWatched = true
        let before = state.pointee.quickProgress
        let wasCalled = wait(Kernel.now() &+ Self.stuckTime)
        state.pointee.isWatched = false
        if !wasCalled, hasQuickWork, state.pointee.quickProgress == before { serveQuick() }
        return true
    }

    /// Under the lock, which is released while waiting. False if the deadline passed.
    private func wait(_ deadline: Nanoseconds) -> Bool {
        assert(lock.isHeld)
        assert(state.pointee.idleCount < state.pointee.threadCount, "more idle workers than there are")
        state.pointee.idleCount += 1
        defer { state.pointee.idleCount -= 1 }
        return condition.wait(lock, until: deadline)
    }

    /// Under the lock.
    private var hasQuickWork: Bool { !state.pointee.incoming.isEmpty || !state.pointee.advised.isEmpty }
    final var hasWork: Bool {
        !state.pointee.blocking.isEmpty || state.pointee.quickWorkers == 0 && hasQuickWork || remoteWanted > 0
    }
    /// The number of remote items that may start.
    private var remoteWanted: Int {
        min(state.pointee.remote.count, remoteLimit - state.pointee.remoteWorkers)
    }
    private var isLast: Bool { state.pointee.threadCount == 1 }
    private var needsWatcher: Bool { state.pointee.quickWorkers > 0 && !state.pointee.isWatched }

    /// How long quick work may make no progress before another worker takes over.
    private static var stuckTime: Nanoseconds { 1_000_000 }

    // MARK: Work

    /// Under the lock, which is released while the item executes.
    private func run(_ slot: Int) {
        assert(lock.isHeld)
        assert(items[slot].state == .queued, "the item was taken from no list")
        items[slot].state = .running
        let operation = items[slot].operation
        lock.unlock()
        guard !operation.opensWhatWaits() else {
            lock.lock()
            return queueAsWaiting(slot)
        }
        let result = operation.blockingResult()
        finish(slot, result)
        lock.lock()
    }

    /// Under the lock, which is released while items execute: serves quick work until there is none.
    private func serveQuick() {
        assert(lock.isHeld)
        assert(state.pointee.quickWorkers < max(state.pointee.threadCount, 1), "more workers serve than there are")
        state.pointee.quickWorkers += 1
        if needsWatcher { callWatcher() }
        while true {
            advise()
            if collectReady() { continue }
            guard let slot = state.pointee.advised.popFirst(items) else { break }
            run(slot)
            state.pointee.quickProgress &+= 1
        }
        state.pointee.quickWorkers -= 1
    }

    /// Under the lock, which is released meanwhile: completes reads whose pages have arrived, as a batch with one
    /// wake-up of the engine. False if there were none.
    private func collectReady() -> Bool {
        assert(lock.isHeld)
        // A larger temporary allocation (above 1 KiB) would come from the heap.
        return withUnsafeTemporaryAllocation(of: Int.self, capacity: 32) { slots in
            var count = 0
            while count < slots.count, let slot = state.pointee.advised.first, items[slot].isRead {
                _ = state.pointee.advised.popFirst(items)
                items[slot].state = .running
                slots[count] = slot
                count += 1
            }
            // A single read may just as well block.
            let readyCount = count > 1 ? attempt(slots, &count) : 0
            for slot in slots[..<count].reversed() { putBack(slot) }
            state.pointee.quickProgress &+= UInt(readyCount)
            return readyCount > 0
        }
    }

    /// Under the lock, which is released meanwhile. Leaves the items that are not ready in `slots`, in order.
    private func attempt(_ slots: UnsafeMutableBufferPointer<Int>, _ count: inout Int) -> Int {
        assert(lock.isHeld)
        lock.unlock()
        var kept = 0
        var misses = 0
        var hasToWake = false
        for index in 0..<count {
            let slot = slots[index]
            if misses < Self.missesMax, let result = items[slot].resultOfPageCache() {
                hasToWake = publish(slot, result) || hasToWake
                misses = 0
            } else {
                misses += 1
                slots[kept] = slot
                kept += 1
            }
        }
        if hasToWake { waker?.wake() }
        lock.lock()
        defer { count = kept }
        return count - kept
    }

    /// Under the lock: puts the item back at the front.
    private func putBack(_ slot: Int) {
        assert(lock.isHeld)
        assert(items[slot].state == .running, "the item was not taken")
        guard !items[slot].isCancelRequested else {
            items[slot].state = .idle
            finish(slot, -Int(ECANCELED))
            return
        }
        items[slot].state = .queued
        state.pointee.advised.prepend(slot, items)
    }

    /// Consecutive reads without their pages after which the batch stops.
    private static var missesMax: Int { 2 }

    private func callWatcher() {
        assert(lock.isHeld)
        if state.pointee.idleCount > 0 {
            condition.signal()
        } else if state.pointee.threadCount < limit {
            _ = startWorker()
        }
    }

    /// Under the lock, which is released meanwhile: starts readahead for all incoming reads.
    private func advise() {
        assert(lock.isHeld)
        guard !state.pointee.incoming.isEmpty else { return }
        // A larger temporary allocation (above 1 KiB) would come from the heap.
        withUnsafeTemporaryAllocation(of: ReadaheadRange.self, capacity: 32) { ranges in
            var count = 0
            while count < ranges.count, let slot = state.pointee.incoming.popFirst(items) {
                items[slot].isAdvised = true
                state.pointee.advised.append(slot, items)
                guard let range = ReadaheadRange(items[slot].operation) else { continue }
                ranges.initializeElement(at: count, to: range)
                count += 1
            }
            // A single read brings in its own pages.
            guard count > 1 else { return }
            lock.unlock()
            for range in ranges[..<count] { range.start() }
            lock.lock()
        }
    }

    /// On the worker's thread, with or without the lock.
    func finish(_ slot: Int, _ result: Int) {
        if publish(slot, result) { waker?.wake() }
    }

    /// True if the engine sleeps and must be woken.
    private func publish(_ slot: Int, _ result: Int) -> Bool {
        // Written before `put` publishes the slot; from there on the engine owns the slot.
        (results + slot).initialize(
            to: Completion(items[slot].token, result: Int32(truncatingIfNeeded: result), flags: .usedWorker))
        return finished.put(UInt32(slot))
    }
}
