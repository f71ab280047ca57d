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
    let lock = Lock()

    // Under the lock.
    var ring: EventRing?
    /// The operations that the program asked for.
    var depth: UInt32 = 0
    var inFlightCount = 0
    var waiters = Waiters()
    var records = RecordPool()
    /// The next context that is not in use. The table's.
    var nextFree: Context?

    init(id: UInt32) {
        self.id = id
        address = .allocate(capacity: 1)
        address.initialize(to: Atomic(0))
        references = .allocate(capacity: 2)
        references.initialize(to: Atomic(0))
        news = references + 1
        news.initialize(to: Atomic(0))
    }
}

/// Those who wait for a context's events.
struct Waiters: BitwiseCopyable {
    var count = 0
    /// The least number of events that one of them wants.
    var wanted = Int.max
    /// An eventfd for those who wait with a signal mask; -1 until one does.
    var descriptor: Int32 = -1
    var maskedCount = 0
}

// MARK: Accepting

extension Context {
    enum Place {
        case record(UnsafeMutablePointer<Record>)
        /// The ring could not hold one event more.
        case full
        case noMemory
    }

    /// A place for an operation.
    func acquire() -> Place {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        // One place of a ring is never used: full and empty would look the same.
        guard let ring = state.pointee.ring, state.pointee.inFlightCount + ring.count < Int(ring.capacity) - 1 else {
            return .full
        }
        guard let record = state.pointee.records.acquire(self) else { return .noMemory }
        state.pointee.inFlightCount += 1
        references.pointee.wrappingAdd(1, ordering: .relaxed)
        return .record(record)
    }

    /// Gives the place of an operation back that was not accepted after all.
    func abandon(_ record: UnsafeMutablePointer<Record>) {
        let event = record.pointee.event
        state.pointee.lock.lock()
        release(record)
        state.pointee.lock.unlock()
        if event >= 0 { Kernel.close(event) }
        leave(1)
    }

    /// Under the lock.
    private func release(_ record: UnsafeMutablePointer<Record>) {
        state.pointee.records.release(record)
        state.pointee.inFlightCount -= 1
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

    /// Asks for an end to the operations for which `condition` holds and which can be ended. Returns how many.
    @discardableResult
    func requestCancel(_ loop: Carrier<Record>, where condition: (UnsafeMutablePointer<Record>) -> Bool) -> Int {
        var count = 0
        while let withdrawn = requestCancelUntilWithdrawn(loop, &count, where: condition) {
            complete(withdrawn, -Int(ECANCELED))
        }
        return count
    }

    /// Returns an operation that the loop had not begun, and that is the caller's to complete.
    private func requestCancelUntilWithdrawn(
        _ loop: Carrier<Record>, _ count: inout Int, where condition: (UnsafeMutablePointer<Record>) -> Bool
    ) -> UnsafeMutablePointer<Record>? {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        return state.pointee.records.firstInFlight { record in
            guard record.pointee.isCancellable, condition(record) else { return false }
            record.pointee.isCancellable = false
            count += 1
            return loop.requestCancel(record)
        }
    }

    /// io_destroy(2): refuses new calls, ends what waits, lets the rest finish, and waits for all of it.
    ///
    /// The caller is inside the context. False if another destroys it already.
    func destroy(_ library: UnsafeMutablePointer<Library>) -> Bool {
        let known = address.pointee.load(ordering: .sequentiallyConsistent)
        guard known != 0,
            address.pointee.compareExchange(
                expected: known, desired: 0, ordering: .sequentiallyConsistent
            ).exchanged
        else { return false }
        if let loop = library.pointee.runningLoop() { requestCancel(loop) { _ in true } }
        dismissWaiters()
        leave(1)
        while true {
            let count = references.pointee.load(ordering: .sequentiallyConsistent)
            if count == 1 { break }
            _ = Kernel.futexWait(references, while: count, until: .never)
        }
        library.pointee.table.recycle(self, programAddress: known)
        return true
    }

    private func dismissWaiters() {
        state.pointee.lock.lock()
        let waiters = state.pointee.waiters
        state.pointee.news.pointee.wrappingAdd(1, ordering: .relaxed)
        state.pointee.lock.unlock()
        Kernel.futexWake(state.pointee.news, .max)
        if waiters.maskedCount > 0 { Kernel.wake(waiters.descriptor) }
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
        state.pointee.lock.lock()
        for delivery in deliveries {
            guard let record = Record.record(of: delivery) else { continue }
            publish(record, delivery.completion.result)
        }
        finishPublishing(deliveries.count)
    }

    /// Publishes an operation that was carried out in the call. From any thread.
    func complete(_ record: UnsafeMutablePointer<Record>, _ result: Int) {
        state.pointee.lock.lock()
        publish(record, Int32(truncatingIfNeeded: result))
        finishPublishing(1)
    }

    /// Under the lock.
    private func publish(_ record: UnsafeMutablePointer<Record>, _ result: Int32) {
        // A cancelled poll ends with no events, as the kernel's does.
        let result = record.pointee.isPoll && result == -ECANCELED ? 0 : result
        let event = ck_io_event(
            data: record.pointee.data, object: UInt64(record.pointee.block), result: Int64(result), result2: 0)
        state.pointee.ring?.publish(event)
        let descriptor = record.pointee.event
        release(record)
        guard descriptor >= 0 else { return }
        // After the event can be seen.
        Kernel.wake(descriptor)
        Kernel.close(descriptor)
    }

    /// Under the lock, which it gives up: wakes those who have something to do.
    private func finishPublishing(_ count: Int) {
        let waiters = state.pointee.waiters
        let isNeeded = waiters.count > 0 && state.pointee.ring.map { $0.count >= waiters.wanted } == true
        if isNeeded { state.pointee.news.pointee.wrappingAdd(1, ordering: .relaxed) }
        state.pointee.lock.unlock()
        if isNeeded {
            Kernel.futexWake(state.pointee.news, .max)
            if waiters.maskedCount > 0 { Kernel.wake(waiters.descriptor) }
        }
        leave(UInt32(count))
    }
}
