internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// A context of Linux AIO: what io_setup makes. A handle.
///
/// The memory behind it is never given back, only used again: so a lookup that comes too late reads something sound.
struct Context: BitwiseCopyable, Equatable {
    let state: UnsafeMutablePointer<ContextState>

    /// One for being in use, one for each operation in flight and each call inside.
    var references: UnsafeMutablePointer<Atomic<UInt32>> { state.pointee.references }
    /// Where the program has the ring, which is its name for the context; 0 while the context is not in use.
    var address: UnsafeMutablePointer<Atomic<UInt>> { state.pointee.address }

    /// Whether it is in use.
    var isAlive: Bool { address.pointee.load(ordering: .sequentiallyConsistent) != 0 }

    /// Whether there is no event to be taken.
    var isEmpty: Bool {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        guard let ring = state.pointee.ring else { return false }
        return ring.count == 0 && ring.header.magic == EventRing.Header.magic
    }

    /// Whether there are operations in flight that end by themselves, other than the kernel's own.
    var hasWorkInFlight: Bool {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        return state.pointee.records.firstInFlight { !$0.pointee.isCancellable && !$0.pointee.isNative } != nil
    }

    static func make(id: UInt32) -> Context? {
        guard let memory = malloc(MemoryLayout<ContextState>.stride) else { return nil }
        let state = memory.bindMemory(to: ContextState.self, capacity: 1)
        state.initialize(to: ContextState(id: id))
        return Context(state: state)
    }
}

struct ContextState: ~Copyable {
    let id: UInt32
    let address: UnsafeMutablePointer<Atomic<UInt>>
    let references: UnsafeMutablePointer<Atomic<UInt32>>
    /// Changes when those who wait for events have to look.
    let news: UnsafeMutablePointer<Atomic<UInt32>>
    /// 1 if a thread may sleep until it does. Whoever wakes the sleepers takes it back, and no sleeper ever: one that
    /// is gone for good costs nothing but one wake of nobody.
    let isSleptOn: UnsafeMutablePointer<Atomic<UInt32>>
    /// How often the context was used again: who comes back from a sleep knows the one he meant by it.
    let lives: UnsafeMutablePointer<Atomic<UInt32>>
    let lock = Lock()

    // Under the lock.
    var ring: EventRing?
    /// The operations that the program asked for.
    var depth: UInt32 = 0
    var inFlightCount = 0
    var writes = WriteOrder()
    var waiters = Waiters()
    var records = RecordPool()
    var mode = ContextMode.undecided
    /// The descriptor that was last found open for direct I/O, and how often to believe that yet.
    var directNumber: Int32 = -1
    var directCredit: Int32 = 0
    var native: NativeContext?
    var ticker = Ticker()
    /// The ticker's place with the loop; made when first needed.
    var tick: UnsafeMutablePointer<Record>?
    /// The next context that is not in use. The table's.
    var nextFree: Context?

    init(id: UInt32) {
        self.id = id
        address = .allocate(capacity: 1)
        address.initialize(to: Atomic(0))
        references = .allocate(capacity: 4)
        references.initialize(to: Atomic(0))
        news = references + 1
        news.initialize(to: Atomic(0))
        isSleptOn = references + 2
        isSleptOn.initialize(to: Atomic(0))
        lives = references + 3
        lives.initialize(to: Atomic(0))
    }
}

/// Those who wait for a context's events.
struct Waiters: BitwiseCopyable {
    /// The least number of events that one of them wants; of those without a signal mask since the last were woken.
    private(set) var wanted = Int.max
    /// An eventfd for those who wait with a signal mask; -1 until one does.
    private(set) var descriptor: Int32 = -1
    /// These; and those that a signal handler took elsewhere, which makes it too high.
    private(set) var maskedCount = 0
    /// Where such threads waited when the context ended, which may not have woken yet.
    private var formerDescriptor: Int32 = -1

    /// One is about to sleep.
    mutating func begin(wanting count: Int) { wanted = min(wanted, count) }

    /// One is about to sleep with a signal mask. Returns the eventfd, or negative why there is none.
    mutating func beginMasked() -> Int {
        if descriptor < 0 {
            let made = Kernel.eventDescriptor()
            guard made >= 0 else { return made }
            descriptor = Int32(made)
        }
        maskedCount += 1
        return Int(descriptor)
    }

    mutating func endMasked() { maskedCount -= 1 }

    /// Whether there is somebody to be woken, now that there are `count` events. If so the caller wakes all, who then
    /// begin again; but with a signal mask they may each wake late.
    mutating func isWoken(by count: Int) -> Bool {
        guard count >= wanted else { return false }
        if maskedCount == 0 { wanted = .max }
        return true
    }

    /// The context has ended, and all were woken.
    mutating func reset() {
        if maskedCount == 0 {
            if descriptor >= 0 { Kernel.close(descriptor) }
        } else {
            if formerDescriptor >= 0 { Kernel.close(formerDescriptor) }
            formerDescriptor = descriptor
        }
        descriptor = -1
        maskedCount = 0
        wanted = .max
    }
}

// MARK: Accepting

extension Context {
    enum Place {
        /// `isKnownDirect`: its file was open for direct I/O when last asked.
        case record(UnsafeMutablePointer<Record>, isKnownDirect: Bool)
        /// The ring could not hold one event more.
        case full
        /// The context is being destroyed.
        case ended
        case noMemory
    }

    /// A place for an operation on a descriptor.
    func acquire(_ number: Int32) -> Place {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        guard isAlive else { return .ended }
        // One place of a ring is never used: full and empty would look the same.
        guard let ring = state.pointee.ring, state.pointee.inFlightCount + ring.count < Int(ring.capacity) - 1 else {
            return .full
        }
        guard let record = state.pointee.records.acquire(self) else { return .noMemory }
        state.pointee.inFlightCount += 1
        references.pointee.wrappingAdd(1, ordering: .relaxed)
        return .record(record, isKnownDirect: isKnownDirect(number))
    }

    /// Gives the place of an operation back that was not accepted after all.
    func abandon(_ record: UnsafeMutablePointer<Record>) {
        let event = record.pointee.event
        record.pointee.account.withdraw()
        record.pointee.letGo()
        state.pointee.lock.lock()
        release(record)
        state.pointee.lock.unlock()
        if event >= 0 { Kernel.close(event) }
        leave(1)
    }

    /// Under the lock.
    func release(_ record: UnsafeMutablePointer<Record>) {
        if record.pointee.isQuick {
            record.pointee.isQuick = false
            state.pointee.writes.end(write: record)
        }
        state.pointee.records.release(record)
        state.pointee.inFlightCount -= 1
    }

    /// What reading `life` later than that is compared with. Inside the context.
    var life: UInt32 { state.pointee.lives.pointee.load(ordering: .relaxed) }

    /// A reference to the same context after a time without one. False if it has ended.
    func enterAgain(_ life: UInt32) -> Bool {
        // As in `ContextTable.enter`. An address that is seen was stored after its life had begun.
        references.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if isAlive, self.life == life { return true }
        leave(1)
        return false
    }

    /// Gives references up. The last but one lets whoever destroys the context go on.
    func leave(_ count: UInt32) {
        // Release: what was done under the reference is done before the context is used again. Sequentially
        // consistent with the address: either the destroyer sees the count, or we see that it waits.
        let left = references.pointee.wrappingSubtract(count, ordering: .sequentiallyConsistent).newValue
        if left == 1, address.pointee.load(ordering: .sequentiallyConsistent) == 0 {
            Kernel.futexWake(references, .max)
        }
    }
}

// MARK: Ending

extension Context {
    /// Hands over an operation whose end may be asked for. False if the context is being destroyed.
    func carryCancellable(_ record: UnsafeMutablePointer<Record>, _ loop: Carrier<Record>) -> Bool {
        // Under the lock, so that whoever cancels finds either nothing or an operation that the loop knows.
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        guard isAlive else { return false }
        record.pointee.isCancellable = true
        loop.carry(record)
        return true
    }

    /// Hands over an operation whose end is not asked for.
    func carry(_ record: UnsafeMutablePointer<Record>, _ loop: Carrier<Record>) {
        if record.pointee.operation.isBufferedWrite {
            state.pointee.lock.lock()
            record.pointee.isQuick = true
            state.pointee.writes.begin(write: record)
            state.pointee.lock.unlock()
        } else if case .sync = record.pointee.operation {
            state.pointee.lock.lock()
            let waits = state.pointee.writes.wait(sync: record)
            state.pointee.lock.unlock()
            if waits { return }
        }
        loop.carry(record)
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

    /// Asks for an end to one operation for which `condition` holds and which can be ended. False if there is none.
    func requestCancel(_ loop: Carrier<Record>, where condition: (UnsafeMutablePointer<Record>) -> Bool) -> Bool {
        state.pointee.lock.lock()
        let found = state.pointee.records.firstInFlight { $0.pointee.isCancellable && condition($0) }
        // Once: its second cancel finds nothing.
        found?.pointee.isCancellable = false
        let isWithdrawn = found.map { loop.requestCancel($0) } ?? false
        state.pointee.lock.unlock()
        if let found, isWithdrawn { complete(found, -Int(ECANCELED), .engine) }
        return found != nil
    }

    /// io_destroy(2): refuses new calls, ends what waits, lets the rest finish, and waits for all of it.
    ///
    /// The caller is inside the context. False if another destroys it already.
    func destroy(_ library: UnsafeMutablePointer<Library>) -> Bool {
        let known = address.pointee.load(ordering: .sequentiallyConsistent)
        // A program that moved the ring away names nothing by the old address, where another's memory may be by now.
        guard known != 0, isRing(at: known),
            address.pointee.compareExchange(
                expected: known, desired: 0, ordering: .sequentiallyConsistent
            ).exchanged
        else { return false }
        if let loop = library.pointee.runningLoop() {
            while requestCancel(loop, where: { _ in true }) {}
            stopTicking(loop)
        }
        endNative()
        dismissWaiters()
        leave(1)
        // A signal handler must not take this thread elsewhere: the kernel's wait cannot be interrupted either.
        Kernel.withSignalsBlocked {
            while true {
                let count = references.pointee.load(ordering: .sequentiallyConsistent)
                if count == 1 { break }
                _ = Kernel.futexWait(references, while: count, until: .never)
            }
        }
        library.pointee.table.recycle(self, programAddress: known)
        return true
    }

    private func dismissWaiters() {
        state.pointee.lock.lock()
        let waiters = state.pointee.waiters
        state.pointee.news.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        state.pointee.lock.unlock()
        wakeSleepers()
        if waiters.maskedCount > 0 { Kernel.wake(waiters.descriptor) }
    }

    /// After `news` has changed: sequentially consistent with whoever falls asleep, who does it the other way round.
    private func wakeSleepers() {
        if state.pointee.isSleptOn.pointee.exchange(0, ordering: .sequentiallyConsistent) != 0 {
            Kernel.futexWake(state.pointee.news, .max)
        }
    }

    /// Whether the memory at `place` is the context's ring.
    func isRing(at place: UInt) -> Bool {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        return state.pointee.ring?.isMapped(at: place) == true
    }
}

// MARK: Completing

extension Context {
    /// Publishes what has completed. On the loop's thread.
    func complete(_ deliveries: UnsafeBufferPointer<Delivery>) {
        for delivery in deliveries { Record.record(of: delivery)?.pointee.letGo() }
        state.pointee.lock.lock()
        for delivery in deliveries {
            guard let record = Record.record(of: delivery) else { continue }
            record.pointee.account.served = Served(delivery.completion.flags)
            publish(record, delivery.completion.result)
        }
        finishPublishing(deliveries.count)
    }

    /// Publishes an operation that was carried out in the call. From any thread.
    func complete(_ record: UnsafeMutablePointer<Record>, _ result: Int, _ served: Served) {
        record.pointee.account.served = served
        record.pointee.letGo()
        state.pointee.lock.lock()
        publish(record, Int32(truncatingIfNeeded: result))
        finishPublishing(1)
    }

    /// Under the lock.
    func publish(_ record: UnsafeMutablePointer<Record>, _ result: Int32) {
        // A cancelled poll ends with no events, as the kernel's does.
        let result = record.pointee.isPoll && result == -ECANCELED ? 0 : result
        record.pointee.account.complete(result: Int(result))
        let event = ck_io_event(
            data: record.pointee.data, object: UInt64(record.pointee.block), result: Int64(result), result2: 0)
        state.pointee.ring?.publish(event)
        let descriptor = record.pointee.event
        if result == -EFBIG { record.pointee.operation.signalFileSizeLimit() }
        release(record)
        guard descriptor >= 0 else { return }
        // After the event can be seen.
        Kernel.wake(descriptor)
        Kernel.close(descriptor)
    }

    /// Under the lock, which it gives up: wakes those who have something to do.
    func finishPublishing(_ count: Int) {
        let eventCount = state.pointee.ring?.count ?? 0
        let isNeeded = state.pointee.waiters.isWoken(by: eventCount)
        let waiters = state.pointee.waiters
        if isNeeded { state.pointee.news.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent) }
        let hasReadySync = state.pointee.writes.hasReadySync
        state.pointee.lock.unlock()
        if hasReadySync { carryReadySyncs() }
        if isNeeded {
            wakeSleepers()
            if waiters.maskedCount > 0 { Kernel.wake(waiters.descriptor) }
        }
        leave(UInt32(count))
    }
}
