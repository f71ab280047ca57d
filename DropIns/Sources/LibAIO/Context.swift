internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// A handle of a context of Linux AIO, which io_setup makes.
///
/// The memory of its state is never freed, only reused, so that a late lookup is no use-after-free.
struct Context: BitwiseCopyable, Equatable {
    let state: UnsafeMutablePointer<ContextState>

    /// One while the context is in use, plus one for each operation in flight and each call inside.
    var references: UnsafeMutablePointer<Atomic<UInt32>> { state.pointee.references }
    /// Where the program has the ring mapped, which is its ID of the context; 0 while the context is not in use.
    var address: UnsafeMutablePointer<Atomic<UInt>> { state.pointee.address }
    var writeCount: UnsafeMutablePointer<Atomic<UInt32>> { state.pointee.writeCount }

    /// Whether it is in use.
    var isAlive: Bool { address.pointee.load(ordering: .sequentiallyConsistent) != 0 }

    /// Whether there is no event to take, and would be none if the kernel had done the transfers within io_submit.
    var isEmpty: Bool {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        if isNative { return EventRing.isEmpty(at: address.pointee.load(ordering: .sequentiallyConsistent)) }
        guard let ring = state.pointee.ring else { return false }
        return ring.count == 0 && state.pointee.transferCount == 0 && ring.header.magic == EventRing.Header.magic
    }

    /// Whether operations of the loop's are in flight that end by themselves.
    var hasWorkInFlight: Bool {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        return state.pointee.records.firstInFlight { !$0.pointee.isCancellable } != nil
    }

    static func make(id: UInt32) -> Context? {
        guard let memory = malloc(MemoryLayout<ContextState>.stride) else { return nil }
        let state = memory.bindMemory(to: ContextState.self, capacity: 1)
        state.initialize(to: ContextState(id: id))
        return Context(state: state)
    }
}

struct ContextState: ~Copyable {
    /// The number in the ring: the kernel's for its context, or one of the library's.
    var id: UInt32
    let address: UnsafeMutablePointer<Atomic<UInt>>
    let references: UnsafeMutablePointer<Atomic<UInt32>>
    let news: News
    /// How often the context has been reused. A thread that returns from a sleep recognizes its context by it.
    let lives: UnsafeMutablePointer<Atomic<UInt32>>
    /// Small buffered writes that a worker has. io_submit spins briefly until there are none.
    let writeCount: UnsafeMutablePointer<Atomic<UInt32>>
    /// A `ContextMode`.
    let mode: UnsafeMutablePointer<Atomic<UInt8>>
    let native: UnsafeMutablePointer<NativeCounts>
    let lock = Lock()

    // Under the lock.
    /// Present while the context belongs to the loop.
    var ring: EventRing?
    /// The number of operations that the program asked for, unless the kernel accounts for them.
    var depth: UInt32 = 0
    var inFlightCount = 0
    /// How many of them are reads and writes, which the kernel would have done within io_submit.
    var transferCount = 0
    var writes = WriteOrder()
    var waiters = Waiters()
    var lastEvents = LastEvents()
    var records = RecordPool()
    /// The kernel's address of its context after the switch to the loop; 0 if there is none.
    var kernelAddress: UInt = 0
    /// Operations and markers that the kernel has in flight or has completed into its own ring. An upper bound: see
    /// `dropMarkers`.
    var outstandingCount = 0
    /// How many submitters there were when a switch to the loop was given up: see `awaitSubmitters`.
    var stayingSubmitters = 0
    /// The timer that checks on them, created on first use.
    var tick: UnsafeMutablePointer<Record>?
    var isTicking = false
    var tickCount = 0
    var tickTime: Nanoseconds = 0
    /// The next context in the table's free list.
    var nextFree: Context?

    init(id: UInt32) {
        self.id = id
        address = .allocate(capacity: 1)
        address.initialize(to: Atomic(0))
        references = .allocate(capacity: 5)
        references.initialize(to: Atomic(0))
        news = News(references + 1, mark: references + 2)
        lives = references + 4
        lives.initialize(to: Atomic(0))
        writeCount = references + 3
        writeCount.initialize(to: Atomic(0))
        mode = .allocate(capacity: 1)
        mode.initialize(to: Atomic(ContextMode.loop.rawValue))
        native = .allocate(capacity: 1)
        native.initialize(to: NativeCounts())
    }
}

// MARK: Accepting

extension Context {
    enum Place {
        case record(UnsafeMutablePointer<Record>)
        /// The ring has no room for another event.
        case full
        /// The context is being destroyed.
        case ended
        case noMemory
    }

    /// Acquires a record for an operation.
    func acquire() -> Place {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        guard isAlive, let ring = state.pointee.ring else { return .ended }
        // One slot of a ring stays unused, since a full ring would look like an empty one.
        assert(state.pointee.transferCount <= state.pointee.inFlightCount, "there are more transfers than operations")
        let taken = state.pointee.inFlightCount + state.pointee.outstandingCount + ring.count
        guard taken < Int(ring.capacity) - 1 else { return .full }
        guard let record = state.pointee.records.acquire(self) else { return .noMemory }
        state.pointee.inFlightCount += 1
        references.pointee.wrappingAdd(1, ordering: .relaxed)
        return .record(record)
    }

    /// Gives back the record of an operation that was not accepted.
    func abandon(_ record: UnsafeMutablePointer<Record>) {
        record.pointee.account.withdraw()
        record.pointee.letGo()
        record.pointee.event.letGo()
        state.pointee.lock.lock()
        release(record)
        finishPublishing(0, leaving: 1)
    }

    /// Under the lock.
    func release(_ record: UnsafeMutablePointer<Record>) {
        assert(state.pointee.lock.isHeld)
        assert(state.pointee.inFlightCount > 0, "more operations end than were accepted")
        if record.pointee.isQuick {
            record.pointee.isQuick = false
            state.pointee.writes.end(write: record)
            // Release: a thread that sees the count at zero sees the events.
            let left = writeCount.pointee.wrappingSubtract(1, ordering: .releasing).newValue
            assert(left < .max, "more writes end than have begun")
        }
        if record.pointee.isTransfer {
            record.pointee.isTransfer = false
            assert(state.pointee.transferCount > 0, "more transfers end than have begun")
            state.pointee.transferCount -= 1
        }
        state.pointee.records.release(record)
        state.pointee.inFlightCount -= 1
    }

    /// Compared with a later reading of it. Sequentially consistent with `news`, which changes after it when the
    /// context ends.
    var life: UInt32 { state.pointee.lives.pointee.load(ordering: .sequentiallyConsistent) }

    /// Acquires a reference again after a time without one. False if the context has ended.
    func enterAgain(_ life: UInt32) -> Bool {
        // As in `ContextTable.enter`. A new address is stored only after the new life has begun.
        references.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if isAlive, self.life == life { return true }
        leave(1)
        return false
    }

    /// Releases references. The last but one wakes the thread that destroys the context.
    func leave(_ count: UInt32) {
        // Release: accesses under the reference happen before the context is reused. Sequentially consistent with the
        // address: either the destroyer sees the new count, or this thread sees that it waits.
        let left = references.pointee.wrappingSubtract(count, ordering: .sequentiallyConsistent).newValue
        assert(left <= .max - count, "more references are released than there are")
        if left == 1, address.pointee.load(ordering: .sequentiallyConsistent) == 0 {
            Kernel.futexWake(references, .max)
        }
    }
}

// MARK: Carrying and cancelling

extension Context {
    /// Hands over an operation on a stream, or a poll, which may be cancelled. One that waits in a lane is handed over
    /// when its turn comes. False if the context is being destroyed.
    func carryCancellable(
        _ record: UnsafeMutablePointer<Record>, _ loop: Carrier<Record>, _ entered: CallOrder.Entering
    ) -> Bool {
        // Under the lock, so that a cancelling thread finds either nothing or an operation that the loop or its lane
        // knows.
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        guard isAlive else { return false }
        record.pointee.change(to: .waitingForTurn)
        if isItsTurn(record, entered) {
            record.pointee.change(to: .cancellable)
            loop.carry(record)
        }
        return true
    }

    /// Begins a transfer that will be handed over: counts it among those that io_getevents may wait for (see
    /// `Reaping.wanted`), and a buffered write among those that syncs wait for. Called before its turn can come, since
    /// it may complete then.
    func begin(transfer record: UnsafeMutablePointer<Record>) {
        let isQuick = record.pointee.operation.isBufferedWrite
        state.pointee.lock.lock()
        assert(record.pointee.state == .accepted && !record.pointee.isTransfer, "the transfer has begun already")
        record.pointee.isTransfer = true
        state.pointee.transferCount += 1
        if isQuick {
            record.pointee.isQuick = true
            state.pointee.writes.begin(write: record)
            writeCount.pointee.wrappingAdd(1, ordering: .relaxed)
        }
        state.pointee.lock.unlock()
    }

    /// Hands over a transfer of a file, which is not cancelled. One that waits in a lane is handed over when its turn
    /// comes.
    func carry(
        transfer record: UnsafeMutablePointer<Record>, _ loop: Carrier<Record>, _ entered: CallOrder.Entering
    ) {
        if isItsTurn(record, entered) { loop.carry(record) }
    }

    private func isItsTurn(_ record: UnsafeMutablePointer<Record>, _ entered: CallOrder.Entering) -> Bool {
        entered == .runs || Library.shared()?.pointee.order.settle(record) == true
    }

    /// Hands over a sync, unless it waits for writes: see `carryReadySyncs`.
    func carry(sync record: UnsafeMutablePointer<Record>, _ loop: Carrier<Record>) {
        state.pointee.lock.lock()
        let waits = state.pointee.writes.wait(sync: record)
        state.pointee.lock.unlock()
        if !waits { loop.carry(record) }
    }

    /// Removes an operation that is not accepted from its lane, and starts the next one.
    func leaveLane(_ record: UnsafeMutablePointer<Record>) {
        var next = TurnList()
        next.append(leaveOrder(record))
        next.carry()
    }

    /// Carries an operation whose turn in its lane has come (`CallOrder`).
    func carryNext(_ record: UnsafeMutablePointer<Record>) {
        guard let loop = Library.shared()?.pointee.runningLoop() else { return }
        state.pointee.lock.lock()
        let (isCancellable, isCancelled) = (record.pointee.isCancellable, record.pointee.isCancelRequested)
        if isCancellable {
            // Under the lock, as in `carryCancellable`.
            record.pointee.change(to: .cancellable)
            loop.carry(record)
        }
        state.pointee.lock.unlock()
        if isCancelled {
            complete(record, -Int(ECANCELED), .engine)
        } else if !isCancellable {
            // An append, without the lock: if no worker can be started, this thread executes and completes it here.
            loop.carry(record)
        }
    }

    /// After writes have ended: hands over the syncs that waited for them.
    private func carryReadySyncs() {
        guard let loop = Library.shared()?.pointee.runningLoop() else { return }
        while true {
            state.pointee.lock.lock()
            let sync = state.pointee.writes.popReadySync()
            state.pointee.lock.unlock()
            guard let sync else { return }
            loop.carry(sync)
        }
    }

    /// Requests the cancellation of one cancellable operation for which `condition` holds. False if there is none.
    func requestCancel(
        _ library: UnsafeMutablePointer<Library>, _ loop: Carrier<Record>,
        where condition: (UnsafeMutablePointer<Record>) -> Bool
    ) -> Bool {
        state.pointee.lock.lock()
        let found = state.pointee.records.firstInFlight { $0.pointee.isCancellable && condition($0) }
        var isWithdrawn = false
        if let found {
            // Only once: a second cancellation finds nothing.
            let isCarried = found.pointee.state == .cancellable
            found.pointee.change(to: isCarried ? .cancelRequested : .cancelledBefore)
            isWithdrawn = isCarried ? loop.requestCancel(found) : library.pointee.order.withdraw(found)
        }
        state.pointee.lock.unlock()
        if let found, isWithdrawn { complete(found, -Int(ECANCELED), .engine) }
        return found != nil
    }

    /// Whether the memory at `place` is the context's ring.
    func isRing(at place: UInt) -> Bool {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        // The kernel follows a ring that the program moves. EINTR: it has found the ring, and a signal is pending.
        if isNative {
            let found = Kernel.linuxAIOGetEvents(place, 0, 0, 0, 0, mask: 0)
            return found == 0 || found == -Int(EINTR)
        }
        return state.pointee.ring?.isMapped(at: place) == true
    }
}

// MARK: Completing

extension Context {
    /// Publishes completions. Called on the loop's thread, or a worker's.
    func complete(_ deliveries: UnsafeBufferPointer<Delivery>) {
        var next = TurnList()
        for delivery in deliveries {
            guard let record = Record.record(of: delivery) else { continue }
            record.pointee.letGo()
            next.append(leaveOrder(record))
        }
        state.pointee.lock.lock()
        for delivery in deliveries {
            guard let record = Record.record(of: delivery) else { continue }
            record.pointee.account.served = Served(delivery.completion.flags)
            publish(record, record.pointee.whole(delivery.completion.result))
        }
        finishPublishing(deliveries.count, leaving: deliveries.count)
        next.carry()
    }

    /// Publishes an operation that was carried out in the call. From any thread.
    func complete(_ record: UnsafeMutablePointer<Record>, _ result: Int, _ served: Served) {
        record.pointee.account.served = served
        record.pointee.letGo()
        var next = TurnList()
        next.append(leaveOrder(record))
        state.pointee.lock.lock()
        publish(record, record.pointee.whole(Int32(truncatingIfNeeded: result)))
        finishPublishing(1, leaving: 1)
        next.carry()
    }

    private func leaveOrder(_ record: UnsafeMutablePointer<Record>) -> UnsafeMutablePointer<Record>? {
        guard record.pointee.order.isInLane else { return nil }
        return Library.shared()?.pointee.order.leave(record)
    }

    /// Under the lock.
    func publish(_ record: UnsafeMutablePointer<Record>, _ result: Int32) {
        assert(record.pointee.context == self, "the record is another context's")
        assert(record.pointee.isInFlight, "the operation has ended already")
        assert(result > -4096, "the result is neither a value nor an errno")
        // An operation cancelled by io_destroy has no event: see `keepLastEvents`.
        let isTakenBack = result == -ECANCELED && record.pointee.isCancelRequested && !isAlive
        record.pointee.account.complete(result: Int(result))
        // As in the kernel, a cancelled poll completes with no events.
        let result = record.pointee.isPoll && result == -ECANCELED ? 0 : result
        let event = ck_io_event(
            data: record.pointee.data, object: UInt64(record.pointee.block), result: Int64(result), result2: 0)
        if !isTakenBack { state.pointee.ring?.publish(event) }
        let signalled = record.pointee.event
        if result == -EFBIG { record.pointee.operation.signalFileSizeLimit() }
        release(record)
        // Only after the event is visible.
        signalled.signal()
        signalled.letGo()
    }

    /// Under the lock, which it releases. After `count` events: wakes threads that have enough of them, and releases
    /// references.
    func finishPublishing(_ count: Int, leaving references: Int) {
        assert(state.pointee.lock.isHeld)
        let eventCount = state.pointee.ring?.count ?? 0
        let isNeeded = state.pointee.waiters.isWoken(by: eventCount)
        let waiters = state.pointee.waiters
        if isNeeded { state.pointee.news.change() }
        let hasReadySync = state.pointee.writes.hasReadySync
        state.pointee.lock.unlock()
        if hasReadySync { carryReadySyncs() }
        if isNeeded {
            state.pointee.news.wakeSleepers()
            if waiters.maskedCount > 0 { Kernel.wake(waiters.descriptor) }
        }
        if references > 0 { leave(UInt32(references)) }
    }
}

/// Records whose turn has come, linked through `nextFree`, which is unused while they are in flight.
private struct TurnList {
    private var first: UnsafeMutablePointer<Record>?
    private var last: UnsafeMutablePointer<Record>?

    mutating func append(_ record: UnsafeMutablePointer<Record>?) {
        guard let record else { return }
        assert(last != record, "the turn of an operation comes twice")
        record.pointee.nextFree = nil
        if let last { last.pointee.nextFree = record } else { first = record }
        last = record
    }

    func carry() {
        var current = first
        while let record = current {
            // Read first: once carried, the record may complete and be reused.
            current = record.pointee.nextFree
            record.pointee.context.carryNext(record)
        }
    }
}
