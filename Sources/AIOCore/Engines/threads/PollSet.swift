internal import CKernel

/// Operations that wait for readiness of a descriptor, multiplexed by one epoll.
///
/// epoll has one registration per file and number, so operations on the same descriptor share an entry; those of one
/// direction are executed in FIFO order. Registrations are one-shot. An entry outlives its waiters: the next wait for
/// the same descriptor, typical of a server, only rearms the registration.
struct PollSet: ~Copyable {
    private struct Waiter: BitwiseCopyable {
        var operation = Operation.nop
        var token = Token(rawValue: .max)
        var interest = Interest.polling
        var next: Int32 = -1
        /// The entry that it waits on; -1 if none.
        var entry: Int32 = -1
        /// A worker executes it, because the file supports blocking calls only. Until it is done, no other operation of
        /// its direction may run: that would find the descriptor ready for data that the first is about to take, and
        /// block a worker indefinitely.
        var isWithWorker = false
    }

    private struct Entry: BitwiseCopyable {
        var descriptor: Int32 = -1
        /// First and last waiter, in FIFO order.
        var head: Int32 = -1
        var tail: Int32 = -1
        /// The next entry of the same bucket, or the next free one.
        var next: Int32 = -1
    }

    private var epoll: Int32
    /// Identifies the epoll's events (`OwnedEpoll`).
    private var timer: MarkedTimer
    private let waiters: UnsafeMutablePointer<Waiter>
    private let entries: UnsafeMutablePointer<Entry>
    private let buckets: UnsafeMutablePointer<Int32>
    private let bucketMask: Int32
    private var freeEntry: Int32
    private let entryCount: Int32
    /// Where the search for an idle entry continues once all entries are in use.
    private var hand: Int32 = 0
    private(set) var waiterCount = 0

    init(_ epoll: borrowing OwnedEpoll, capacity: Int) {
        self.epoll = epoll.number
        timer = epoll.timer
        waiters = .allocate(capacity: capacity)
        waiters.initialize(repeating: Waiter(), count: capacity)
        entries = .allocate(capacity: capacity)
        for index in 0..<capacity {
            (entries + index).initialize(to: Entry())
            entries[index].next = index + 1 < capacity ? Int32(index + 1) : -1
        }
        freeEntry = 0
        entryCount = Int32(capacity)
        var size = 1
        while size < capacity { size *= 2 }
        buckets = .allocate(capacity: size)
        buckets.initialize(repeating: -1, count: size)
        bucketMask = Int32(size - 1)
    }

    deinit {
        waiters.deallocate()
        entries.deallocate()
        buckets.deallocate()
    }

    // MARK: Adding and removing

    /// Whether an operation on this descriptor already waits for this direction.
    func hasWaiters(_ descriptor: Int32, _ interest: Interest) -> Bool {
        guard waiterCount > 0, let entry = find(descriptor) else { return false }
        var slot = entries[Int(entry)].head
        while slot >= 0 {
            if waiters[Int(slot)].interest == interest { return true }
            slot = waiters[Int(slot)].next
        }
        return false
    }

    /// Adds a waiter. Returns 0, or the error of epoll_ctl(2): EPERM for a file that is always ready, EBADF, ENOSPC. If
    /// the descriptor was closed and its number reused, operations that waited on the previous file complete with
    /// EBADF.
    mutating func add(
        _ operation: Operation, _ token: Token, _ descriptor: Int32, _ interest: Interest,
        completed: inout FixedQueue<Completion>
    ) -> Int {
        let slot = Int32(token.slot)
        if let entry = find(descriptor) {
            append(operation, token, interest, to: entry)
            let result = arm(entry, CK_EPOLL_CTL_MOD)
            guard result == -Int(ENOENT) else {
                if result < 0 { remove(slot, from: entry) }
                return result
            }
            remove(slot, from: entry)
            while entries[Int(entry)].head >= 0 {
                let old = entries[Int(entry)].head
                if !waiters[Int(old)].isWithWorker {
                    completed.append(Completion(waiters[Int(old)].token, result: -EBADF))
                }
                remove(old, from: entry)
            }
            release(entry)
        }
        let entry = acquire(descriptor)
        append(operation, token, interest, to: entry)
        let result = arm(entry, CK_EPOLL_CTL_ADD)
        if result < 0 {
            remove(slot, from: entry)
            release(entry)
        }
        return result
    }

    /// Records an operation that goes to a worker immediately, so that others queue behind it. Not recorded for files
    /// that are always ready: they block nobody.
    mutating func addWithWorker(_ operation: Operation, _ token: Token, _ descriptor: Int32, _ interest: Interest) {
        if let entry = find(descriptor), isIdle(entry) { forget(entry) }
        let isNew = find(descriptor) == nil
        let entry = find(descriptor) ?? acquire(descriptor)
        append(operation, token, interest, to: entry)
        waiters[Int(token.slot)].isWithWorker = true
        guard isNew else { return }
        guard control(entry, CK_EPOLL_CTL_ADD, 0) < 0 else { return }
        remove(Int32(token.slot), from: entry)
        release(entry)
    }

    /// Called when a worker has finished an operation, or it was withdrawn: the next one may run.
    mutating func workerEnded(_ token: Token) {
        let waiter = waiters[Int(token.slot)]
        guard waiter.entry >= 0, waiter.token == token, waiter.isWithWorker else { return }
        remove(Int32(token.slot), from: waiter.entry)
        settleRemoved(waiter.entry)
    }

    /// False if the operation does not wait here.
    mutating func remove(_ token: Token) -> Bool {
        let slot = Int32(token.slot)
        let waiter = waiters[Int(slot)]
        guard waiter.entry >= 0, waiter.token == token, !waiter.isWithWorker else { return false }
        remove(slot, from: waiter.entry)
        settleRemoved(waiter.entry)
        return true
    }

    /// Moves all waiters to another epoll, because this one is gone. Operations that cannot be registered there,
    /// because their descriptor is gone too, complete with the error of epoll_ctl(2).
    mutating func move(to other: borrowing OwnedEpoll, completed: inout FixedQueue<Completion>) {
        epoll = other.number
        timer = other.timer
        for entry in 0..<entryCount where entries[Int(entry)].descriptor >= 0 {
            guard !isIdle(entry) else {
                release(entry)
                continue
            }
            let refused = arm(entry, CK_EPOLL_CTL_ADD)
            guard refused < 0 else { continue }
            var slot = entries[Int(entry)].head
            while slot >= 0 {
                let waiter = waiters[Int(slot)]
                if !waiter.isWithWorker {
                    remove(slot, from: entry)
                    completed.append(Completion(waiter.token, result: Int32(truncatingIfNeeded: refused)))
                }
                slot = waiter.next
            }
            if isIdle(entry) { release(entry) }
        }
    }

    // MARK: Readiness

    /// Handles one epoll event: executes the operations that waited for it, or hands them to workers.
    mutating func handle(
        _ entry: Int32, _ events: UInt32, completed: inout FixedQueue<Completion>,
        outgoing: inout FixedQueue<WorkItem>
    ) {
        guard entry >= 0, entry < entryCount, entries[Int(entry)].descriptor >= 0 else { return }
        let failed = events & (CK_POLLERR | CK_POLLHUP) != 0
        var canRead = failed || events & (CK_POLLIN | CK_POLLRDHUP | CK_POLLPRI) != 0
        var canWrite = failed || events & CK_POLLOUT != 0
        var slot = entries[Int(entry)].head
        while slot >= 0 {
            let waiter = waiters[Int(slot)]
            switch waiter.interest {
            case .polling:
                let met = events & (waiter.operation.pollEvents | CK_POLLERR | CK_POLLHUP)
                if met != 0 {
                    remove(slot, from: entry)
                    completed.append(Completion(waiter.token, result: Int32(met)))
                }
            case .reading where canRead && !waiter.isWithWorker:
                canRead = serve(slot, entry, &completed, &outgoing)
            case .writing where canWrite && !waiter.isWithWorker:
                canWrite = serve(slot, entry, &completed, &outgoing)
            case .reading:
                canRead = canRead && !waiter.isWithWorker
            case .writing:
                canWrite = canWrite && !waiter.isWithWorker
            }
            slot = waiter.next
        }
        settle(entry)
    }

    /// Attempts the operation. False if the descriptor is no longer ready for its direction, or a worker took over.
    private mutating func serve(
        _ slot: Int32, _ entry: Int32, _ completed: inout FixedQueue<Completion>,
        _ outgoing: inout FixedQueue<WorkItem>
    ) -> Bool {
        let waiter = waiters[Int(slot)]
        switch waiter.operation.attemptReady() {
        case .done(let result):
            remove(slot, from: entry)
            completed.append(Completion(waiter.token, result: Int32(truncatingIfNeeded: result)))
            return true
        case .notReady:
            return false
        case .needsWorker:
            waiters[Int(slot)].isWithWorker = true
            outgoing.append(WorkItem(waiter.operation, waiter.token))
            return false
        }
    }

    // MARK: Entries

    /// After an event, which disarmed the one-shot registration: rearms it for the remaining waiters.
    private func settle(_ entry: Int32) {
        // Even with no events requested, epoll would report a hang-up, again and again.
        if wantedEvents(entry) != 0 { _ = arm(entry, CK_EPOLL_CTL_MOD) }
    }

    /// After a removal: the registration may be armed for an event that nobody waits for any more.
    private mutating func settleRemoved(_ entry: Int32) {
        if isIdle(entry) { forget(entry) } else { settle(entry) }
    }

    private func isIdle(_ entry: Int32) -> Bool { entries[Int(entry)].head < 0 }

    private mutating func forget(_ entry: Int32) {
        // Fails if the descriptor was closed, which removed the registration.
        Kernel.epollControl(epoll, CK_EPOLL_CTL_DEL, entries[Int(entry)].descriptor, 0, 0)
        release(entry)
    }

    private func arm(_ entry: Int32, _ action: Int32) -> Int { control(entry, action, wantedEvents(entry)) }

    /// epoll keys registrations by file and number, and one survives the number's reuse: a file that returns under its
    /// old number is still registered, although no entry says so. Hence EEXIST, and the MOD.
    private func control(_ entry: Int32, _ action: Int32, _ events: UInt32) -> Int {
        let descriptor = entries[Int(entry)].descriptor
        let events = events | CK_EPOLLONESHOT
        let data = OwnedEpoll.data(timer, .index(entry))
        let result = Kernel.epollControl(epoll, action, descriptor, events, data)
        guard result == -Int(EEXIST) else { return result }
        return Kernel.epollControl(epoll, CK_EPOLL_CTL_MOD, descriptor, events, data)
    }

    /// The events of the entry's waiters, without the directions that a worker is serving. 0 if there are none.
    private func wantedEvents(_ entry: Int32) -> UInt32 {
        var events: UInt32 = 0
        var busy: UInt32 = 0
        var slot = entries[Int(entry)].head
        while slot >= 0 {
            let waiter = waiters[Int(slot)]
            let wanted =
                switch waiter.interest {
                case .reading: CK_POLLIN | CK_POLLRDHUP
                case .writing: CK_POLLOUT
                case .polling: waiter.operation.pollEvents
                }
            // A worker's operation is the first of its direction.
            if waiter.isWithWorker {
                busy |= wanted
            } else {
                events |= waiter.interest == .polling ? wanted : wanted & ~busy
            }
            slot = waiter.next
        }
        return events
    }

    private func find(_ descriptor: Int32) -> Int32? {
        var entry = buckets[Int(descriptor & bucketMask)]
        while entry >= 0 {
            if entries[Int(entry)].descriptor == descriptor { return entry }
            entry = entries[Int(entry)].next
        }
        return nil
    }

    /// Takes an entry for a descriptor. There are as many entries as possible waiters: if none is free, one is idle.
    private mutating func acquire(_ descriptor: Int32) -> Int32 {
        if freeEntry < 0 {
            while !isIdle(hand) { hand = (hand + 1) % entryCount }
            forget(hand)
        }
        let entry = freeEntry
        freeEntry = entries[Int(entry)].next
        let bucket = Int(descriptor & bucketMask)
        entries[Int(entry)] = Entry(descriptor: descriptor, next: buckets[bucket])
        buckets[bucket] = entry
        return entry
    }

    private mutating func release(_ entry: Int32) {
        let bucket = Int(entries[Int(entry)].descriptor & bucketMask)
        if buckets[bucket] == entry {
            buckets[bucket] = entries[Int(entry)].next
        } else {
            var before = Int(buckets[bucket])
            while entries[before].next != entry { before = Int(entries[before].next) }
            entries[before].next = entries[Int(entry)].next
        }
        entries[Int(entry)] = Entry(next: freeEntry)
        freeEntry = entry
    }

    private mutating func append(_ operation: Operation, _ token: Token, _ interest: Interest, to entry: Int32) {
        let slot = Int32(token.slot)
        waiters[Int(slot)] = Waiter(operation: operation, token: token, interest: interest, entry: entry)
        let tail = entries[Int(entry)].tail
        if tail >= 0 { waiters[Int(tail)].next = slot } else { entries[Int(entry)].head = slot }
        entries[Int(entry)].tail = slot
        waiterCount += 1
    }

    private mutating func remove(_ slot: Int32, from entry: Int32) {
        var before: Int32 = -1
        var current = entries[Int(entry)].head
        while current != slot {
            before = current
            current = waiters[Int(current)].next
        }
        let next = waiters[Int(slot)].next
        if before >= 0 { waiters[Int(before)].next = next } else { entries[Int(entry)].head = next }
        if entries[Int(entry)].tail == slot { entries[Int(entry)].tail = before }
        waiters[Int(slot)].entry = -1
        waiterCount -= 1
    }
}

extension Operation {
    /// Retries an operation that waited.
    fileprivate func attemptReady() -> StreamAttempt {
        guard let transfer else { return attemptWaiting(isBegun: true) }
        return StreamAttempt(transfer)
    }

    /// The events that a poll requests.
    fileprivate var pollEvents: UInt32 {
        if case .poll(_, let events) = self { events } else { 0 }
    }
}
