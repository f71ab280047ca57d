internal import CKernel

/// How `threads` serves buffered reads without a thread. Staging a read that misses the page cache starts readahead(2).
/// A waiting thread collects with RWF_NOWAIT what has arrived, and if nothing has, executes the oldest read as a
/// blocking call. The device sees the whole queue depth, and the page cache buffers the results. (Proposed for the
/// kernel's Linux AIO in 2004, as reads that retry.)
///
/// Blocking in a wait is only acceptable for a thread that waits for nothing else. For a loop, and with an exported
/// descriptor, a worker executes the oldest read. Reads from network and FUSE file systems always go to workers, since
/// even starting readahead can block there.
struct ReadaheadService: ~Copyable {
    /// By slot, the reads that missed: without readahead so far (`fresh`), and with readahead started (`coming`).
    private let items: UnsafeMutablePointer<WorkItem>
    private var fresh = WorkList()
    private var coming = WorkList()
    /// The read that a worker waits for.
    private var delegated: Token?

    init(capacity: Int) {
        items = .allocate(capacity: capacity)
        items.initialize(repeating: WorkItem(), count: capacity)
    }

    deinit { items.deallocate() }

    // MARK: Down

    /// Whether a read that misses the page cache is for this service. Large copies, and transfers that cannot be
    /// retried, go to workers.
    static func takes(_ transfer: Transfer) -> Bool {
        var unasked = transfer
        unasked.form.remove(.cacheMissed)
        return transfer.descriptor.kind == .buffered && transfer.descriptor.backing != .remote
            && !transfer.flags.contains(.noWait) && unasked.mayBeAsked()
    }

    mutating func add(_ operation: Operation, _ token: Token) {
        items[Int(token.slot)] = WorkItem(operation, token)
        items[Int(token.slot)].state = .queued
        fresh.append(Int(token.slot), items)
    }

    /// Starts readahead for everything added since the last turn.
    mutating func startFresh() {
        while let slot = fresh.popFirst(items) {
            items[slot].isAdvised = true
            ReadaheadRange(items[slot].operation)?.start()
            coming.append(slot, items)
        }
    }

    /// False if the service does not have the operation.
    mutating func requestCancel(_ token: Token, _ outlets: inout Outlets) -> Bool {
        let item = items[Int(token.slot)]
        guard item.token == token, item.state == .queued else { return false }
        take(Int(token.slot))
        outlets.complete(token, -Int(ECANCELED))
        return true
    }

    // MARK: Up

    /// Collects reads whose pages have arrived, oldest first, until `missesMax` in a row have not.
    mutating func collect(_ outlets: inout Outlets, missesMax: Int = 2) {
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
                outlets.sendToWorker(items[slot].operation, items[slot].token)
            case .done(let result):
                take(slot)
                outlets.complete(items[slot].token, result)
                misses = 0
            }
        }
        outlets.flush()
    }

    /// Executes the oldest read on this thread: its pages may have been reclaimed, or never arrive. False if there is
    /// none.
    mutating func readOldest(_ outlets: inout Outlets) -> Bool {
        guard let slot = coming.first else { return false }
        take(slot)
        outlets.complete(items[slot].token, items[slot].operation.blockingResult())
        return true
    }

    /// Has a worker execute the oldest read, unless one is at it already.
    mutating func delegateOldest(_ outlets: inout Outlets) {
        guard delegated == nil, let slot = coming.first else { return }
        take(slot)
        delegated = items[slot].token
        outlets.sendToWorker(items[slot].operation, items[slot].token)
        outlets.flush()
    }

    mutating func noteDrained(_ completions: Slice<UnsafeMutableBufferPointer<Completion>>) {
        for completion in completions where completion.token == delegated { delegated = nil }
    }

    private mutating func take(_ slot: Int) {
        if items[slot].isAdvised { coming.remove(slot, items) } else { fresh.remove(slot, items) }
        items[slot].state = .idle
    }
}
