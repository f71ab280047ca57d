internal import CKernel
internal import Synchronization

/// Threads for what can only be done by blocking one: bounded, started when there is need, gone when there is none.
///
/// Work comes in four kinds.
///
/// *Blocking* work (fsync, open, direct I/O, ...) takes a thread each, up to the limit.
///
/// *Remote* work (on files of a network or FUSE file system, and waits for futexes) does so too, but never takes all
/// threads: it may wait for ever, and the rest is to go on.
///
/// *Waiting* work (opening a FIFO, reading a terminal) has threads of its own, as many again, since it waits until another
/// party comes; and a cancel interrupts it (`WaitingWork.swift`).
///
/// *Quick* work (buffered reads and writes) seldom blocks for long, and hopping threads would cost more than it
/// does. One worker serves it in order. It first asks the kernel to read ahead (readahead(2)) everything that is
/// queued, so that the device sees the whole depth at once, and then collects the pages, which mostly are there
/// by then. Should it get stuck all the same, another worker, which watches, takes over the rest.
///
/// One worker stays for life, since there may be no further thread to be had when one is needed (`RLIMIT_NPROC`, a
/// container's `pids.max`). What finds none waits for those there are, and starting is tried again; without any, whoever
/// drives the engine carries the work out himself. Nothing fails for want of a thread.
class WorkerPool: ThreadBody, @unchecked Sendable {
    // @unchecked: `state` and `items` are touched under `lock` only; `finished` and `results` as `Inbox` says.

    let lock = Lock()
    let condition = Condition()
    let state: UnsafeMutablePointer<State>
    let items: UnsafeMutablePointer<WorkItem>
    let limit: Int
    private let remoteLimit: Int
    /// How long a worker without work stays.
    private let idleTime: Nanoseconds

    /// Slots whose work is done, on their way to the engine.
    let finished: Inbox
    private let results: UnsafeMutablePointer<Completion>
    /// Tells the engine that `finished` has something.
    private let waker: Waker?
    /// Whether a thread was refused while there was work for it. Relaxed: whoever sees it looks under the lock.
    let shortage = Atomic<Bool>(false)

    struct State {
        var blocking = WorkList()
        /// Blocking work on remote files, and the threads at it.
        var remote = WorkList()
        var remoteWorkers = 0
        /// Quick work that nobody looked at yet, and quick work whose pages have been asked for.
        var incoming = WorkList()
        var advised = WorkList()
        var waiting = WorkList()
        /// Threads for waiting work, which are not among the others.
        var waitingThreads = 0
        /// Those that have not looked for work yet.
        var waitingStarting = 0
        var threadCount = 0
        var idleCount = 0
        /// Workers at quick work, and whether one watches them.
        var quickWorkers = 0
        var isWatched = false
        /// Counts quick work, so that the watcher sees whether it moves.
        var quickProgress: UInt = 0
        var isStopping = false
    }

    init(capacity: Int, limit: Int, _ waker: Waker?, idleTime: Nanoseconds = 5_000_000_000) {
        state = .allocate(capacity: 1)
        state.initialize(to: State())
        items = .allocate(capacity: capacity)
        items.initialize(repeating: WorkItem(), count: capacity)
        results = .allocate(capacity: capacity)
        finished = Inbox(capacity: capacity)
        self.limit = max(limit, 1)
        remoteLimit = Self.remoteLimit(self.limit)
        self.idleTime = idleTime
        self.waker = waker
    }

    deinit {
        state.deallocate()
        items.deallocate()
        results.deallocate()
    }

    /// Of so many threads, how many may be at remote files at once.
    static func remoteLimit(_ limit: Int) -> Int { max(limit * 3 / 4, 1) }

    // MARK: The engine's side

    /// Adds one batch.
    func add(_ batch: inout FixedQueue<WorkItem>) {
        guard !batch.isEmpty else { return }
        lock.lock()
        defer { lock.unlock() }
        while let item = batch.popFirst() { enqueue(item) }
        callWorkers()
    }

    /// Adds one item. From any thread.
    final func add(_ item: WorkItem) {
        lock.lock()
        enqueue(item)
        callWorkers()
        lock.unlock()
    }

    /// Under the lock.
    private func enqueue(_ item: WorkItem) {
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

    /// Takes back work that no worker began. False if one did, or if it is done.
    func remove(_ token: Token) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        let item = items + Int(token.slot)
        guard item.pointee.token == token, item.pointee.state == .queued else {
            // A worker that only looks whether it is ready ends it when it is not.
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

    /// Moves the completions of all work that is done, and tells `each` whose they are.
    @inline(__always)
    func takeFinished(into completed: inout FixedQueue<Completion>, each: (Token) -> Void = { _ in }) {
        finished.take { slot in
            completed.append(results[Int(slot)])
            each(results[Int(slot)].token)
        }
    }

    /// Workers there are now.
    var threadCount: Int {
        lock.lock()
        defer { lock.unlock() }
        return state.pointee.threadCount
    }

    /// Waits until all work is done and every thread is gone.
    func shutDown() {
        lock.lock()
        state.pointee.isStopping = true
        condition.broadcast()
        while state.pointee.threadCount + state.pointee.waitingThreads > 0 { condition.wait(lock) }
        lock.unlock()
    }

    // MARK: Threads

    /// Starts the worker that stays, if there is a thread to be had.
    func startFirst() {
        lock.lock()
        if state.pointee.threadCount == 0 { _ = startWorker() }
        lock.unlock()
    }

    /// Whether work waits for want of threads: `help` is to be called again and again.
    @inline(__always)
    var isShortOfThreads: Bool { shortage.load(ordering: .relaxed) }

    /// On the thread of whoever drives the engine: tries to start threads again, and without any carries out a piece of work
    /// itself. Not what waits for another party, for which it would wait as well.
    func help() {
        lock.lock()
        defer { lock.unlock() }
        shortage.store(false, ordering: .relaxed)
        callWorkers()
        guard state.pointee.threadCount == 0 else { return }
        let slot =
            state.pointee.blocking.popFirst(items) ?? state.pointee.incoming.popFirst(items)
            ?? state.pointee.advised.popFirst(items) ?? state.pointee.remote.popFirst(items)
        if let slot { run(slot) }
    }

    /// Under the lock: wakes or starts as many workers as the queued work asks for.
    func callWorkers() {
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

    /// Under the lock. False if the system refuses another thread; work then waits for those there are.
    private func startWorker() -> Bool {
        guard Kernel.startThread(self) == 0 else {
            shortage.store(true, ordering: .relaxed)
            return false
        }
        state.pointee.threadCount += 1
        return true
    }

    /// A worker's life.
    override func run() {
        Kernel.nameThread(ThreadName.worker)
        lock.lock()
        while true {
            if let slot = state.pointee.blocking.popFirst(items) {
                // This may have been the one that watched, or was called to.
                if needsWatcher { callWatcher() }
                run(slot)
            } else if state.pointee.quickWorkers == 0, hasQuickWork {
                serveQuick()
            } else if remoteWanted > 0, let slot = state.pointee.remote.popFirst(items) {
                if needsWatcher { callWatcher() }
                state.pointee.remoteWorkers += 1
                run(slot)
                state.pointee.remoteWorkers -= 1
            } else if state.pointee.isStopping || !waitForWork() {
                break
            }
        }
        state.pointee.threadCount -= 1
        // Whoever shuts down counts the threads.
        condition.broadcast()
        lock.unlock()
    }

    /// Under the lock: waits to be called, as the watcher if there is none. False if this worker is not needed.
    private func waitForWork() -> Bool {
        guard needsWatcher else {
            let wasCalled = wait(isLast ? .never : Kernel.now() &+ idleTime)
            // The last one stays, which it may have become meanwhile: the time of all is up at once. Another looks once
            // more: somebody may have called just then, and counts on it.
            return wasCalled || isLast || hasWork || needsWatcher
        }
        state.pointee.isWatched = true
        let before = state.pointee.quickProgress
        let wasCalled = wait(Kernel.now() &+ Self.stuckTime)
        state.pointee.isWatched = false
        if !wasCalled, hasQuickWork, state.pointee.quickProgress == before { serveQuick() }
        return true
    }

    /// Under the lock, which it gives up meanwhile. False when the deadline passed.
    private func wait(_ deadline: Nanoseconds) -> Bool {
        state.pointee.idleCount += 1
        defer { state.pointee.idleCount -= 1 }
        return condition.wait(lock, until: deadline)
    }

    /// Under the lock.
    private var hasQuickWork: Bool { !state.pointee.incoming.isEmpty || !state.pointee.advised.isEmpty }
    private var hasWork: Bool {
        !state.pointee.blocking.isEmpty || state.pointee.quickWorkers == 0 && hasQuickWork || remoteWanted > 0
    }
    /// Remote work that may begin.
    private var remoteWanted: Int {
        min(state.pointee.remote.count, remoteLimit - state.pointee.remoteWorkers)
    }
    private var isLast: Bool { state.pointee.threadCount == 1 }
    private var needsWatcher: Bool { state.pointee.quickWorkers > 0 && !state.pointee.isWatched }

    /// How long quick work may stand still before another worker helps.
    private static var stuckTime: Nanoseconds { 1_000_000 }

    // MARK: Work

    /// Under the lock, which it gives up while it works.
    private func run(_ slot: Int) {
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

    /// Under the lock, which it gives up while it works: serves quick work until there is none.
    private func serveQuick() {
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

    /// Under the lock, which it gives up meanwhile: completes reads whose pages have come, together, so that the engine
    /// is woken once for all of them. False if there were none.
    private func collectReady() -> Bool {
        // Above 1 KiB the memory would come from the heap.
        withUnsafeTemporaryAllocation(of: Int.self, capacity: 32) { slots in
            var count = 0
            while count < slots.count, let slot = state.pointee.advised.first, items[slot].isRead {
                _ = state.pointee.advised.popFirst(items)
                items[slot].state = .running
                slots[count] = slot
                count += 1
            }
            // One by itself is as well waited for.
            let readyCount = count > 1 ? attempt(slots, &count) : 0
            for slot in slots[..<count].reversed() { putBack(slot) }
            state.pointee.quickProgress &+= UInt(readyCount)
            return readyCount > 0
        }
    }

    /// Under the lock, which it gives up meanwhile. Leaves what is not ready in `slots`, in order.
    private func attempt(_ slots: UnsafeMutableBufferPointer<Int>, _ count: inout Int) -> Int {
        lock.unlock()
        var kept = 0
        var misses = 0
        var hasToWake = false
        for index in 0..<count {
            let slot = slots[index]
            let result = misses < Self.missesMax ? items[slot].operation.resultWithoutWaiting() : nil
            if let result {
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

    /// Under the lock: it waits again, as the first.
    private func putBack(_ slot: Int) {
        guard !items[slot].isCancelRequested else {
            items[slot].state = .idle
            finish(slot, -Int(ECANCELED))
            return
        }
        items[slot].state = .queued
        state.pointee.advised.prepend(slot, items)
    }

    /// Reads that were not ready in a row after which the rest is not looked at.
    private static var missesMax: Int { 2 }

    private func callWatcher() {
        if state.pointee.idleCount > 0 {
            condition.signal()
        } else if state.pointee.threadCount < limit {
            _ = startWorker()
        }
    }

    /// Under the lock, which it gives up meanwhile: asks for the pages of all reads that came in.
    private func advise() {
        guard !state.pointee.incoming.isEmpty else { return }
        // Above 1 KiB the memory would come from the heap.
        withUnsafeTemporaryAllocation(of: ReadaheadRange.self, capacity: 32) { ranges in
            var count = 0
            while count < ranges.count, let slot = state.pointee.incoming.popFirst(items) {
                items[slot].isAdvised = true
                state.pointee.advised.append(slot, items)
                guard let range = ReadaheadRange(items[slot].operation) else { continue }
                ranges.initializeElement(at: count, to: range)
                count += 1
            }
            // A single read brings its pages in by itself.
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

    /// True if the engine sleeps and has to be woken.
    private func publish(_ slot: Int, _ result: Int) -> Bool {
        // Written before `put` publishes the slot; from there on the slot is the engine's.
        (results + slot).initialize(
            to: Completion(items[slot].token, result: Int32(truncatingIfNeeded: result), flags: .usedWorker))
        return finished.put(UInt32(slot))
    }
}
