internal import CKernel

/// The engine that needs no threads for buffered reads. Staging a read that misses the page cache starts readahead(2).
/// A waiting thread collects with RWF_NOWAIT what has arrived, and if nothing has, executes the oldest read as a
/// blocking call. The device sees the whole queue depth, and the page cache buffers the results. (Proposed for the
/// kernel's Linux AIO in 2004, as reads that retry.)
///
/// Blocking in a wait is only acceptable for a thread that waits for nothing else. For a loop, and with an exported
/// descriptor, a worker executes the oldest read. Reads from network and FUSE file systems always go to workers, since
/// even starting readahead can block there. Everything but buffered reads is executed as in the engine `threads`.
struct ReadaheadEngine: ~Copyable, Engine {
    private var threads: ThreadsEngine
    /// By slot, the reads that missed: without readahead so far (`fresh`), and with readahead started (`coming`).
    private let items: UnsafeMutablePointer<WorkItem>
    private var fresh = WorkList()
    private var coming = WorkList()
    /// The read that a worker waits for.
    private var delegated: Token?
    private let guesses = CacheGuesses()
    private let isLoop: Bool
    private var isExported = false

    /// Consecutive misses after which collection stops.
    private static var missesMax: Int { 2 }

    init(_ configuration: EngineConfiguration) throws(EngineFailure) {
        threads = try ThreadsEngine(configuration, for: .readahead)
        items = .allocate(capacity: configuration.placeCount)
        items.initialize(repeating: WorkItem(), count: configuration.placeCount)
        isLoop = configuration.hasDedicatedThread
    }

    deinit { items.deallocate() }

    var descriptor: Int32 { threads.descriptor }

    // MARK: Staging

    mutating func stage(_ operation: Operation, _ token: Token) {
        guard let admitted = threads.admit(operation, token) else { return }
        guard let transfer = admitted.transfer, isForPageCache(transfer) else {
            return threads.stage(admitted: admitted, token)
        }
        if case .done(let result)? = guesses.ask(transfer) { return threads.complete(token, result) }
        guard transfer.descriptor.backing != .remote else { return threads.sendToWorker(admitted, token) }
        items[Int(token.slot)] = WorkItem(admitted, token)
        items[Int(token.slot)].state = .queued
        fresh.append(Int(token.slot), items)
    }

    /// Whether the read is for this engine. Large copies, and transfers that cannot be retried, go to workers.
    private func isForPageCache(_ transfer: Transfer) -> Bool {
        var unasked = transfer
        unasked.form.remove(.cacheMissed)
        return transfer.descriptor.kind == .buffered && !transfer.flags.contains(.noWait) && unasked.mayBeAsked()
    }

    mutating func requestCancel(_ token: Token) {
        let item = items[Int(token.slot)]
        guard item.token == token, item.state == .queued else { return threads.requestCancel(token) }
        take(Int(token.slot))
        threads.complete(token, -Int(ECANCELED))
    }

    // MARK: Waiting

    mutating func enter(atLeast count: Int, until deadline: Nanoseconds) {
        startFresh()
        if mayBlock, count > 0 { return wait(atLeast: count, until: deadline) }
        // A caller that never waits also makes progress.
        collect(missesMax: 1)
        guard !mayBlock else { return threads.enter(atLeast: 0, until: 0) }
        delegate()
        // At most one `enter` per call: an earlier one could consume a wake-up.
        threads.enter(atLeast: count, until: deadline)
        // The worker's read has completed, and others probably have too.
        collect(missesMax: Self.missesMax)
        delegate()
    }

    private var mayBlock: Bool { !isLoop && !isExported }

    private mutating func wait(atLeast count: Int, until deadline: Nanoseconds) {
        while true {
            collect(missesMax: Self.missesMax)
            // Also polls streams if operations wait for them; costs nothing otherwise.
            if threads.completedCount >= count { return threads.enter(atLeast: 0, until: 0) }
            if threads.look() || threads.completedCount >= count { break }
            guard let slot = coming.first else { return threads.enter(atLeast: count, until: deadline) }
            // The fallback: the pages may have been reclaimed, or never arrive.
            let item = items[slot]
            take(slot)
            threads.complete(item.token, item.operation.blockingResult())
            if deadline != .never, Kernel.now() >= deadline { break }
        }
    }

    /// Starts readahead for everything staged since the last turn.
    private mutating func startFresh() {
        while let slot = fresh.popFirst(items) {
            items[slot].isAdvised = true
            ReadaheadRange(items[slot].operation)?.start()
            coming.append(slot, items)
        }
    }

    /// Collects reads whose pages have arrived, oldest first, until `missesMax` in a row have not.
    private mutating func collect(missesMax: Int) {
        var misses = 0
        var next = coming.first
        while let slot = next, misses < missesMax {
            next = coming.after(slot, items)
            guard let transfer = items[slot].operation.transfer else { continue }
            switch transfer.ask() {
            case .wait: misses += 1
            case .refused:
                // For example because the file was switched to O_DIRECT, which a worker handles.
                take(slot)
                threads.sendToWorker(items[slot].operation, items[slot].token)
            case .done(let result):
                take(slot)
                threads.complete(items[slot].token, result)
                misses = 0
            }
        }
        threads.flush()
    }

    /// Has a worker execute the oldest read, unless one is at it already.
    private mutating func delegate() {
        guard delegated == nil, let slot = coming.first else { return }
        take(slot)
        delegated = items[slot].token
        threads.sendToWorker(items[slot].operation, items[slot].token)
        threads.flush()
    }

    private mutating func take(_ slot: Int) {
        if items[slot].isAdvised { coming.remove(slot, items) } else { fresh.remove(slot, items) }
        items[slot].state = .idle
    }

    mutating func drain(into completions: UnsafeMutableBufferPointer<Completion>) -> Int {
        let count = threads.drain(into: completions)
        for completion in completions[..<count] where completion.token == delegated { delegated = nil }
        // A caller that waits on the exported descriptor alone may not return before it is readable.
        if !mayBlock { delegate() }
        return count
    }

    func wake() { threads.wake() }

    mutating func exportDescriptor() {
        isExported = true
        threads.exportDescriptor()
    }

    // MARK: Registering

    mutating func register(files numbers: UnsafeBufferPointer<Int32>) -> Int { threads.register(files: numbers) }
    mutating func unregisterFiles() -> Int { threads.unregisterFiles() }
    mutating func register(buffers vectors: UnsafeBufferPointer<iovec>) -> Int { threads.register(buffers: vectors) }
    mutating func unregisterBuffers() -> Int { threads.unregisterBuffers() }
}
