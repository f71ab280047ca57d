internal import CKernel

/// Operations that wait for a descriptor to become ready, behind one epoll.
///
/// epoll keeps one registration a descriptor, so operations on the same one share an entry; those of one
/// direction are carried out in the order in which they came. An entry outlives its waiters: whoever waits for the same
/// descriptor soon again, as those do who serve connections, arms what is registered already.
struct PollSet: ~Copyable {
    /// What an operation waits for.
    enum Interest: UInt8, BitwiseCopyable {
        case reading, writing, polling
    }

    private struct Waiter: BitwiseCopyable {
        var operation = Operation.nop
        var token = Token(rawValue: .max)
        var interest = Interest.polling
        var next: Int32 = -1
        /// The entry that it waits on; -1 if it does not.
        var entry: Int32 = -1
        /// A worker carries it out, since the file knows only calls that may block. Until that is over nobody else goes
        /// the same way: he would find ready what is about to be taken, and block a worker for as long as it pleases
        /// the other end.
        var isWithWorker = false
    }

    private struct Entry: BitwiseCopyable {
        var descriptor: Int32 = -1
        /// First and last waiter, in order of arrival.
        var head: Int32 = -1
        var tail: Int32 = -1
        /// The next entry in the same bucket, or the next free one.
        var next: Int32 = -1
    }

    private var epoll: Int32
    /// What its entries are told by (`OwnedEpoll`).
    private var timer: MarkedTimer
    private let waiters: UnsafeMutablePointer<Waiter>
    private let entries: UnsafeMutablePointer<Entry>
    private let buckets: UnsafeMutablePointer<Int32>
    private let bucketMask: Int32
    private var freeEntry: Int32
    private let entryCount: Int32
    /// Where the search for an entry without waiters goes on, once all have been used.
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

    /// Whether an operation on this descriptor already waits to go this way.
    func hasWaiters(_ descriptor: Int32, _ interest: Interest) -> Bool {
        guard waiterCount > 0, let entry = find(descriptor) else { return false }
        var slot = entries[Int(entry)].head
        while slot >= 0 {
            if waiters[Int(slot)].interest == interest { return true }
            slot = waiters[Int(slot)].next
        }
        return false
    }

    /// Returns 0, or what epoll_ctl(2) refused it with: EPERM for a file that is always ready, EBADF, ENOSPC.
    /// Operations that waited on a file closed meanwhile, whose descriptor's number this operation's file has now,
    /// complete with EBADF.
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

    /// Notes an operation that goes to a worker at once. Not for files that are always ready: those block nobody.
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

    /// A worker is done with an operation, or was spared it: the next one may go.
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

    /// Everything that waits is to wait behind another epoll: this one is gone. What cannot be registered there, since its
    /// descriptor is gone too, completes with what epoll_ctl(2) says.
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

    /// Handles one event of epoll: carries out what was waiting for it, or passes it on to the workers.
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

    /// Tries the operation. False if the descriptor has no more for its direction.
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

    /// After an event, which disarmed the entry: arms what is still waited for.
    private func settle(_ entry: Int32) {
        // Armed for nothing, epoll would still report a hang-up, again and again.
        if wantedEvents(entry) != 0 { _ = arm(entry, CK_EPOLL_CTL_MOD) }
    }

    /// After something else than an event: it may be armed for what nobody waits for any more.
    private mutating func settleRemoved(_ entry: Int32) {
        if isIdle(entry) { forget(entry) } else { settle(entry) }
    }

    private func isIdle(_ entry: Int32) -> Bool { entries[Int(entry)].head < 0 }

    private mutating func forget(_ entry: Int32) {
        // Fails if the descriptor was closed meanwhile, which removed it already.
        Kernel.epollControl(epoll, CK_EPOLL_CTL_DEL, entries[Int(entry)].descriptor, 0, 0)
        release(entry)
    }

    private func arm(_ entry: Int32, _ action: Int32) -> Int { control(entry, action, wantedEvents(entry)) }

    /// epoll knows a file by its number as well, and a number that names another file does not end that: a file that comes
    /// back under the number is registered already, although no entry says so.
    private func control(_ entry: Int32, _ action: Int32, _ events: UInt32) -> Int {
        let descriptor = entries[Int(entry)].descriptor
        let events = events | CK_EPOLLONESHOT
        let data = OwnedEpoll.data(timer, .index(entry))
        let result = Kernel.epollControl(epoll, action, descriptor, events, data)
        guard result == -Int(EEXIST) else { return result }
        return Kernel.epollControl(epoll, CK_EPOLL_CTL_MOD, descriptor, events, data)
    }

    /// What the entry's waiters wait for, less the directions in which a worker is at it. 0 if that is nothing.
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

    /// There are as many entries as there can be waiters: if none is free, one is idle.
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
    /// What waited is tried again.
    fileprivate func attemptReady() -> StreamAttempt {
        guard let (transfer, isWrite) = transfer else { return attemptWaiting(isBegun: true) }
        return StreamAttempt(self, transfer, isWrite: isWrite)
    }

    /// What a poll waits for.
    fileprivate var pollEvents: UInt32 {
        if case .poll(_, let events) = self { events } else { 0 }
    }
}
