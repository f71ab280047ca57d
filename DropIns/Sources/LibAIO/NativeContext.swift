internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// How a context's operations are carried out.
///
/// A context begins as one of the kernel's own: its address is that of the kernel's ring, and all that the kernel does
/// without blocking its caller (direct I/O, syncs, and what it refuses) goes there as it is, at the kernel's price, with
/// the program's eventfd, and with the kernel's events for programs that take them off the ring by themselves. With the
/// first operation that the kernel would do within io_submit the context turns to the loop for good: a ring of ours takes
/// the place of the kernel's, at the same address and with the same number, so that the kernel's context goes on behind it.
enum ContextMode: UInt8, BitwiseCopyable {
    case native
    case loop
}

/// What is known of the kernel's context behind one of ours, as far as threads read it without the context's lock.
struct NativeCounts: ~Copyable {
    /// Threads that are handing blocks to the kernel.
    let submitters = Atomic<Int>(0)
    /// Operations that the kernel took, since the context was made.
    let accepted = Atomic<UInt64>(0)
    /// So many calls are believed yet to bring nothing but what is the kernel's, as the last ones did. To look at every
    /// control block costs some system calls, since its memory may not be there; at worst the kernel waits in some of them,
    /// as it would have.
    let credit = Atomic<Int>(0)
    /// Threads that wait in the kernel, and the most events that one of them waits for. One that leaves by siglongjmp(3)
    /// is counted for ever, which does no harm.
    let waiters = Atomic<Int>(0)
    let wanted = Atomic<Int>(0)

    /// For another context. Those who waited in the one before may not have counted themselves out yet.
    func reset() {
        // Relaxed: the context is in nobody's use.
        accepted.store(0, ordering: .relaxed)
        credit.store(0, ordering: .relaxed)
        wanted.store(0, ordering: .relaxed)
    }
}

// MARK: Submitting

extension Context {
    @inline(__always)
    var isNative: Bool {
        // Sequentially consistent with the counts: whoever turns the context sees the thread counted, or that thread sees
        // the turn. What the turn made is seen with it.
        state.pointee.mode.pointee.load(ordering: .sequentiallyConsistent) == ContextMode.native.rawValue
    }

    /// Whether the program's ring has this number: as the kernel, which goes by it, and with another there knows the context
    /// no more.
    @inline(__always)
    func hasNumber(_ id: UInt32) -> Bool {
        isNative ? state.pointee.id == id : state.pointee.ring?.header.id == id
    }

    /// Of a call everything was direct I/O: the next ones are believed to be the same.
    func giveNativeCredit() { state.pointee.native.pointee.credit.store(16, ordering: .relaxed) }

    /// Whether a call is believed to be the kernel's unseen.
    func takeNativeCredit() -> Bool {
        let credit = state.pointee.native.pointee.credit.load(ordering: .relaxed)
        guard credit > 0 else { return false }
        // Relaxed, and not in one step: nothing hangs on one more or less.
        state.pointee.native.pointee.credit.store(credit - 1, ordering: .relaxed)
        return true
    }

    /// Hands control blocks to the kernel as they are: what io_submit(2) says. nil if the context has turned to the loop.
    func submitNative(_ address: UInt, _ count: Int, _ blocks: UInt) -> Int? {
        let counts = state.pointee.native
        counts.pointee.submitters.wrappingAdd(1, ordering: .sequentiallyConsistent)
        defer { counts.pointee.submitters.wrappingSubtract(1, ordering: .sequentiallyConsistent) }
        guard isNative else { return nil }
        let result = Kernel.linuxAIOSubmit(address, count, blocks)
        // Relaxed: it is read once there are no submitters any more.
        if result > 0 { counts.pointee.accepted.wrappingAdd(UInt64(result), ordering: .relaxed) }
        return result
    }
}

// MARK: Reaping

extension Context {
    /// A thread is about to take events in the kernel, and may wait for so many. False if the context has turned to the
    /// loop.
    func beginNativeReaping(wanting count: Int) -> Bool {
        let counts = state.pointee.native
        if counts.pointee.wanted.load(ordering: .relaxed) < count {
            counts.pointee.wanted.store(count, ordering: .relaxed)
        }
        counts.pointee.waiters.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if isNative { return true }
        endNativeReaping()
        return false
    }

    func endNativeReaping() {
        state.pointee.native.pointee.waiters.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    }

    /// Leaves out, in place, what only woke us. Returns how many events are left.
    ///
    /// Whether they were taken before the context turned, and so counted, nobody knows: `outstandingCount` may stay too
    /// high.
    static func dropMarkers(_ events: UInt, _ count: Int) -> Int {
        guard let events = UnsafeMutablePointer<ck_io_event>(bitPattern: events) else { return 0 }
        var kept = 0
        for index in 0..<count where events[index].data != marker {
            events[kept] = events[index]
            kept += 1
        }
        return kept
    }

    /// The `data` of polls that are made to wake those who wait in the kernel: an address within this library, which no
    /// program has.
    fileprivate static var marker: UInt64 { UInt64(UInt(bitPattern: di_marker())) }
}

// MARK: Turning to the loop

extension Context {
    /// Something comes that the kernel would do within io_submit: from here on the loop does all. False if it cannot, for
    /// want of a thread or memory: then the kernel does as it would have.
    func turnToLoop(_ library: UnsafeMutablePointer<Library>) -> Bool {
        guard isNative else { return true }
        guard library.pointee.loop() != nil else { return false }
        state.pointee.lock.lock()
        let hasTurned = isAlive && isNative && takePlaceOfKernelsRing()
        let count = hasTurned ? publishOutstanding() : 0
        let hasRest = hasTurned && hasNativeRest
        finishPublishing(count, leaving: 0)
        if hasRest { watchNativeRest(library) }
        return !isNative
    }

    /// Under the lock.
    private func takePlaceOfKernelsRing() -> Bool {
        let address = address.pointee.load(ordering: .sequentiallyConsistent)
        guard let header = EventRing.foreignHeader(at: address), header.capacity > 1,
            var ring = EventRing(id: state.pointee.id, capacity: header.capacity)
        else { return false }
        state.pointee.mode.pointee.store(ContextMode.loop.rawValue, ordering: .sequentiallyConsistent)
        let counts = state.pointee.native
        // They do not wait: the kernel has at most to allocate, or to begin a transfer.
        while counts.pointee.submitters.load(ordering: .sequentiallyConsistent) > 0 { Kernel.yieldThread() }
        // Its events go on where the kernel's end, for programs that keep their own place in it.
        guard let last = EventRing.foreignHeader(at: address), ring.takePlace(at: address, head: last.head) != nil
        else {
            state.pointee.mode.pointee.store(ContextMode.native.rawValue, ordering: .sequentiallyConsistent)
            return false
        }
        // As many as the kernel took, less those that the program has taken: a ring holds fewer than its capacity.
        let taken = UInt64(last.head % header.capacity)
        let accepted = counts.pointee.accepted.load(ordering: .relaxed)
        state.pointee.outstandingCount = Int((accepted &- taken) % UInt64(header.capacity))
        state.pointee.ring = ring
        state.pointee.kernelAddress = address
        return true
    }

    // MARK: What the kernel still has

    /// Under the lock: whether operations are in flight with the kernel, or threads wait there.
    private var hasNativeRest: Bool {
        state.pointee.outstandingCount > 0
            || state.pointee.native.pointee.waiters.load(ordering: .sequentiallyConsistent) > 0
    }

    /// Under the lock: moves what the kernel has completed to the program's ring. Returns how many events that are.
    func publishOutstanding() -> Int {
        guard state.pointee.outstandingCount > 0 else { return 0 }
        return withUnsafeTemporaryAllocation(of: ck_io_event.self, capacity: 32) { events in
            var published = 0
            while state.pointee.outstandingCount > 0 {
                let place = UInt(bitPattern: events.baseAddress)
                let address = state.pointee.kernelAddress
                let count = Kernel.linuxAIOGetEvents(address, 0, events.count, place, 0, mask: 0)
                guard count > 0 else {
                    // The program has moved the ring from where the kernel looks for it.
                    if count < 0 { state.pointee.outstandingCount = 0 }
                    break
                }
                state.pointee.outstandingCount -= count
                for event in events[..<count] where event.data != Self.marker {
                    state.pointee.ring?.publish(event)
                    published += 1
                }
            }
            return published
        }
    }

    /// Under the lock: lets those go that wait in the kernel, by polls of what is ready, as far as there is room for them.
    private func wakeNativeWaiters() {
        let counts = state.pointee.native
        let count = counts.pointee.waiters.load(ordering: .sequentiallyConsistent)
        guard count > 0 else { return }
        let made = Kernel.eventDescriptor()
        guard made >= 0 else { return }
        defer { Kernel.close(Int32(made)) }
        Kernel.wake(Int32(made))
        var block = ck_iocb()
        block.opcode = CK_IOCB_CMD_POLL
        block.descriptor = UInt32(truncatingIfNeeded: made)
        block.address = UInt64(CK_POLLIN)
        block.data = Self.marker
        withUnsafeMutablePointer(to: &block) { block in
            withUnsafeTemporaryAllocation(of: UnsafeMutablePointer<ck_iocb>?.self, capacity: 1) { blocks in
                blocks[0] = block
                let place = UInt(bitPattern: blocks.baseAddress)
                // Each waits for `wanted` at most, and may take them from another.
                let wanted = count * max(counts.pointee.wanted.load(ordering: .relaxed), 1)
                for _ in 0..<min(wanted, Int(state.pointee.ring?.capacity ?? 0)) {
                    guard Kernel.linuxAIOSubmit(state.pointee.kernelAddress, 1, place) == 1 else { break }
                    state.pointee.outstandingCount += 1
                }
            }
        }
    }

    /// Looks after it on the loop for as long as there is any: after a millisecond, and while nothing comes, each time after
    /// twice as long.
    private func watchNativeRest(_ library: UnsafeMutablePointer<Library>) {
        guard let loop = library.pointee.runningLoop() else { return }
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        guard isAlive, !state.pointee.isTicking, let tick = tickRecord() else { return }
        wakeNativeWaiters()
        state.pointee.isTicking = true
        state.pointee.tickCount = 0
        state.pointee.tickTime = Self.tickTime
        references.pointee.wrappingAdd(1, ordering: .relaxed)
        tick.pointee.operation = .timeout(deadline: Kernel.now() &+ Self.tickTime)
        loop.carry(tick)
    }

    private static var tickTime: Nanoseconds { 1_000_000 }
    private static var tickTimeMax: Nanoseconds { 64_000_000 }
    /// So often those who wait in the kernel are woken: who is not woken by then has left without saying so.
    private static var tickCountMax: Int { 32 }

    /// Under the lock.
    private func tickRecord() -> UnsafeMutablePointer<Record>? {
        if let tick = state.pointee.tick { return tick }
        guard let memory = malloc(MemoryLayout<Record>.stride) else { return nil }
        let tick = memory.bindMemory(to: Record.self, capacity: 1)
        tick.initialize(to: Record(self))
        tick.pointee.isTick = true
        state.pointee.tick = tick
        return tick
    }

    /// On the loop's thread: the time to look has come.
    func tick() {
        let loop = Library.shared()?.pointee.runningLoop()
        state.pointee.lock.lock()
        let count = isAlive ? publishOutstanding() : 0
        state.pointee.tickCount += 1
        let wakes = state.pointee.tickCount < Self.tickCountMax
        if isAlive, wakes { wakeNativeWaiters() }
        let goesOn = isAlive && (state.pointee.outstandingCount > 0 || wakes && hasNativeRest)
        state.pointee.tickTime = count > 0 ? Self.tickTime : min(state.pointee.tickTime * 2, Self.tickTimeMax)
        if goesOn, let tick = state.pointee.tick, let loop {
            tick.pointee.operation = .timeout(deadline: Kernel.now() &+ state.pointee.tickTime)
            loop.carry(tick)
        } else {
            state.pointee.isTicking = false
        }
        // Its own reference is kept for as long as this goes on, whatever the next look finds.
        let isTicking = state.pointee.isTicking
        if isTicking { references.pointee.wrappingAdd(1, ordering: .relaxed) }
        finishPublishing(count, leaving: 1)
    }

    /// The context ends: no more looks.
    func stopTicking(_ loop: Carrier<Record>) {
        state.pointee.lock.lock()
        var isWithdrawn = false
        if state.pointee.isTicking, let tick = state.pointee.tick { isWithdrawn = loop.requestCancel(tick) }
        if isWithdrawn { state.pointee.isTicking = false }
        state.pointee.lock.unlock()
        if isWithdrawn { leave(1) }
    }
}
