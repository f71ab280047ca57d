internal import CKernel

/// The engine that needs no threads for buffered reads: staging one that misses the page cache starts readahead(2), and
/// whoever waits collects what has come by then, with RWF_NOWAIT, and reads the oldest with a plain call if nothing has.
/// The device sees the whole depth, and the page cache is where the results wait. (Proposed for the kernel's Linux AIO
/// in 2004, as reads that retry.)
///
/// To block in a wait is for a thread that waits for nothing else. A loop's thread, and one that waits for the exported
/// descriptor, has a worker read the oldest. So it is with files of network and FUSE file systems, where even the start
/// of a read may wait for somebody. Everything but buffered reads is done as the engine `threads` does it.
struct ReadaheadEngine: ~Copyable, Engine {
    private var threads: ThreadsEngine
    /// Reads that missed, by slot: those for which nothing was asked yet, and those that are on their way.
    private let items: UnsafeMutablePointer<WorkItem>
    private var fresh = WorkList()
    private var coming = WorkList()
    /// The one that a worker waits for.
    private var delegated: Token?
    private let guesses = CacheGuesses()
    private let isLoop: Bool
    private var isExported = false

    /// Reads found missing in a row after which the rest is not looked at.
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
        guard let (transfer, isWrite) = admitted.transfer, !isWrite, transfer.descriptor.kind == .buffered,
            isForPageCache(admitted, transfer)
        else { return threads.stage(admitted: admitted, token) }
        if let result = cachedRead(admitted, transfer) { return threads.complete(token, result) }
        guard transfer.descriptor.backing != .remote else { return threads.sendToWorker(admitted, token) }
        items[Int(token.slot)] = WorkItem(admitted, token)
        items[Int(token.slot)].state = .queued
        fresh.append(Int(token.slot), items)
    }

    /// What the page cache holds, if it is worth asking. nil if it does not hold it.
    private func cachedRead(_ operation: Operation, _ transfer: Transfer) -> Int? {
        let number = transfer.descriptor.number
        guard guesses.isWorthAsking(number) else { return nil }
        let result = threads.cachedRead(operation, transfer)
        guesses.note(isHit: result != nil, number)
        return result
    }

    /// What is too much to be copied here, and what cannot be tried twice, is a worker's.
    private func isForPageCache(_ operation: Operation, _ transfer: Transfer) -> Bool {
        var isVectored = false
        if case .readVectored = operation { isVectored = true }
        return transfer.offset >= 0 && transfer.flags.isDisjoint(with: [.noWait, .throughPageCache])
            && transfer.byteCount(isVectored: isVectored) <= Transfer.inlineLimit
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
        // Who never waits makes progress too.
        collect(missesMax: 1)
        guard !mayBlock else { return threads.enter(atLeast: 0, until: 0) }
        delegate()
        // The only one: had there been one before, a call to wake might have ended that instead.
        threads.enter(atLeast: count, until: deadline)
        // The worker's has come, and others most likely too.
        collect(missesMax: Self.missesMax)
        delegate()
    }

    private var mayBlock: Bool { !isLoop && !isExported }

    private mutating func wait(atLeast count: Int, until deadline: Nanoseconds) {
        while true {
            collect(missesMax: Self.missesMax)
            // Looks after streams, if any wait, and costs nothing if none do.
            if threads.completedCount >= count { return threads.enter(atLeast: 0, until: 0) }
            if threads.look() || threads.completedCount >= count { break }
            guard let slot = coming.first else { return threads.enter(atLeast: count, until: deadline) }
            // The safety net: its pages may have been reclaimed, or never come.
            let item = items[slot]
            take(slot)
            threads.complete(item.token, item.operation.blockingResult())
            if deadline != .never, Kernel.now() >= deadline { break }
        }
    }

    /// Starts the reads of all that was staged since.
    private mutating func startFresh() {
        while let slot = fresh.popFirst(items) {
            items[slot].isAdvised = true
            ReadaheadRange(items[slot].operation)?.start()
            coming.append(slot, items)
        }
    }

    /// Collects what has come, the oldest first, until so many in a row have not.
    private mutating func collect(missesMax: Int) {
        var misses = 0
        var next = coming.first
        while let slot = next, misses < missesMax {
            next = coming.after(slot, items)
            guard let (transfer, _) = items[slot].operation.transfer else { continue }
            let result = items[slot].operation.attemptWithoutWaiting(transfer)
            if result == -Int(EAGAIN) {
                misses += 1
                continue
            }
            take(slot)
            // A worker sees to what has become direct meanwhile.
            if result == -Int(EOPNOTSUPP) || result == -Int(EINVAL) {
                threads.sendToWorker(items[slot].operation, items[slot].token)
            } else {
                threads.complete(items[slot].token, result)
                misses = 0
            }
        }
        threads.flush()
    }

    /// Has a worker wait for the oldest, unless one waits already.
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
        // Who waits for the exported descriptor alone may not come back before it is readable.
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
