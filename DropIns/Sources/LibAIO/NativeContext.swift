internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// How a context's operations are carried out.
///
/// A context begins as one of the kernel's own: its address is that of the kernel's ring. Operations that the kernel
/// does not block its caller for (direct I/O, syncs, and what it refuses) are handed over unchanged. They cost what the
/// kernel costs, signal the program's eventfd, and have their events in the kernel's ring, for programs that read it
/// themselves. With the first operation that the kernel would carry out within io_submit, the context switches to the
/// loop for good. A ring of the library's is mapped over the kernel's, at the same address and with the same number, so
/// that the kernel's context continues behind it.
enum ContextMode: UInt8, BitwiseCopyable {
    case native
    /// A thread has the context's lock and tries to switch it to the loop. The context may remain the kernel's.
    case turning
    case loop

    /// The permitted transitions of a context in use. One that is made begins as `native` or `loop`.
    fileprivate func mayBecome(_ next: ContextMode) -> Bool {
        switch self {
        case .native: next == .turning
        case .turning: next == .native || next == .loop
        case .loop: false
        }
    }
}

/// Counters of the kernel's context behind a context, which threads use without the context's lock.
struct NativeCounts: ~Copyable {
    /// Threads that are handing control blocks to the kernel. A thread that leaves by siglongjmp(3) stays counted.
    let submitters = Atomic<Int>(0)
    /// Operations that the kernel has accepted since the context was made.
    let accepted = Atomic<UInt64>(0)
    /// How many more calls are assumed to submit only operations of the kernel's, as the last ones did. Inspecting
    /// every control block costs some system calls, since its memory must be probed. At worst the kernel waits in some
    /// of these calls, as it would without the library.
    let credit = Atomic<Int>(0)
    /// The threads that wait in the kernel, and the largest number of events that one of them wants. A thread that
    /// leaves by siglongjmp(3) stays counted, which does no harm.
    let waiters = Atomic<Int>(0)
    let wanted = Atomic<Int>(0)

    /// For the next context. Threads that waited in the last one may not have counted themselves out yet.
    func reset() {
        // Relaxed: no thread uses the context.
        accepted.store(0, ordering: .relaxed)
        credit.store(0, ordering: .relaxed)
        wanted.store(0, ordering: .relaxed)
    }
}

// MARK: The mode

extension Context {
    /// For a context that nobody uses.
    func begin(as mode: ContextMode) {
        assert(!isAlive && mode != .turning, "the context is in use")
        state.pointee.mode.pointee.store(mode.rawValue, ordering: .sequentiallyConsistent)
    }

    /// Under the lock. The only place that changes the mode of a context in use.
    private func change(to next: ContextMode) {
        assert(state.pointee.lock.isHeld)
        assert(ContextMode(rawValue: mode)?.mayBecome(next) == true, "not a successor of the mode of the context")
        state.pointee.mode.pointee.store(next.rawValue, ordering: .sequentiallyConsistent)
    }
}

// MARK: Submitting

extension Context {
    /// Under the context's lock or without it.
    @inline(__always)
    var isNative: Bool {
        let mode = mode
        return mode == ContextMode.native.rawValue || mode == ContextMode.turning.rawValue && isNativeStill
    }

    @inline(__always)
    private var mode: UInt8 {
        // Sequentially consistent with the counters: either the thread that switches the context sees this thread
        // counted, or this thread sees the switch. It also acquires what the switch has stored.
        state.pointee.mode.pointee.load(ordering: .sequentiallyConsistent)
    }

    /// Waits for the outcome of a switch, whose thread has the lock.
    @inline(never)
    private var isNativeStill: Bool {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        return mode == ContextMode.native.rawValue
    }

    /// Whether the program's ring has this number. The kernel too finds a context by the number in its ring, and does
    /// not know one whose number was changed.
    @inline(__always)
    func hasNumber(_ id: UInt32) -> Bool {
        isNative ? state.pointee.id == id : state.pointee.ring?.header.id == id
    }

    /// Called when all operations of a call were direct I/O: the next calls are assumed to be the same.
    func giveNativeCredit() { state.pointee.native.pointee.credit.store(16, ordering: .relaxed) }

    /// Whether to hand a call to the kernel without inspecting it.
    func takeNativeCredit() -> Bool {
        let credit = state.pointee.native.pointee.credit.load(ordering: .relaxed)
        guard credit > 0 else { return false }
        // Relaxed, and not one atomic step: a lost update does no harm.
        state.pointee.native.pointee.credit.store(credit - 1, ordering: .relaxed)
        return true
    }

    /// io_submit(2) with the control blocks as they are. nil if the context has switched to the loop.
    func submitNative(_ address: UInt, _ count: Int, _ blocks: UInt) -> Int? {
        let counts = state.pointee.native
        repeat {
            counts.pointee.submitters.wrappingAdd(1, ordering: .sequentiallyConsistent)
            let isOpen = mode == ContextMode.native.rawValue
            let result = isOpen ? Kernel.linuxAIOSubmit(address, count, blocks) : 0
            // Relaxed: it is read only when there are no submitters.
            if result > 0 { counts.pointee.accepted.wrappingAdd(UInt64(result), ordering: .relaxed) }
            let left = counts.pointee.submitters.wrappingSubtract(1, ordering: .sequentiallyConsistent).newValue
            assert(left >= 0, "more threads end a submission than have begun one")
            if isOpen { return result }
            // No longer counted while it waits for the outcome of a switch, which waits for the submitters.
        } while isNative
        return nil
    }
}

// MARK: Reaping

extension Context {
    /// Counts in a thread that is about to take events in the kernel, and may wait for `count`. False if the context
    /// has switched to the loop.
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
        let left = state.pointee.native.pointee.waiters.wrappingSubtract(1, ordering: .sequentiallyConsistent).newValue
        assert(left >= 0, "more threads end their waits than have begun one")
    }

    /// Removes the markers among events that this thread took in the kernel, in place. Returns how many events are
    /// left. For a thread inside the context.
    ///
    /// Whether the other events were taken before the switch, or after it and are therefore in `outstandingCount`, is
    /// unknown. So that count may remain too high by as many.
    func dropMarkers(_ events: UInt, _ count: Int) -> Int {
        let kept = Self.dropMarkers(events, count)
        guard kept < count else { return kept }
        state.pointee.lock.lock()
        state.pointee.outstandingCount = max(0, state.pointee.outstandingCount - (count - kept))
        state.pointee.lock.unlock()
        return kept
    }

    /// The same where the context has ended.
    static func dropMarkers(_ events: UInt, _ count: Int) -> Int {
        guard let events = UnsafeMutablePointer<ck_io_event>(bitPattern: events) else { return 0 }
        var kept = 0
        for index in 0..<count where events[index].data != marker {
            events[kept] = events[index]
            kept += 1
        }
        return kept
    }

    /// `data` of the polls that wake threads that wait in the kernel: an address within this library, which no program
    /// uses.
    fileprivate static var marker: UInt64 { UInt64(UInt(bitPattern: di_marker())) }
}

// MARK: Switching to the loop

extension Context {
    /// Switches the context to the loop, for an operation that the kernel would carry out within io_submit. False
    /// without a thread or memory, or if a submission waits in the kernel: then the operation is the kernel's.
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
        assert(state.pointee.lock.isHeld)
        assert(state.pointee.ring == nil && state.pointee.inFlightCount == 0, "the loop has the context already")
        let address = address.pointee.load(ordering: .sequentiallyConsistent)
        guard let header = EventRing.foreignHeader(at: address), header.capacity > 1,
            var ring = EventRing(id: state.pointee.id, capacity: header.capacity)
        else { return false }
        change(to: .turning)
        // The new ring continues at the kernel's head, for programs that keep their own index.
        guard awaitSubmitters(), let last = EventRing.foreignHeader(at: address) else {
            ring.unmap()
            return remainNative()
        }
        guard ring.takePlace(at: address, head: last.head) != nil else { return remainNative() }
        // Accepted minus taken, modulo the capacity. The head is the number of events taken, and a ring holds fewer
        // events than its capacity.
        let taken = UInt64(last.head % header.capacity)
        let accepted = state.pointee.native.pointee.accepted.load(ordering: .relaxed)
        state.pointee.outstandingCount = Int((accepted &- taken) % UInt64(header.capacity))
        state.pointee.ring = ring
        state.pointee.kernelAddress = address
        // Last: a thread that sees the mode uses the ring.
        change(to: .loop)
        return true
    }

    private func remainNative() -> Bool {
        change(to: .native)
        return false
    }

    /// Under the lock: waits for the threads that hand control blocks to the kernel, which at most allocates memory or
    /// begins a transfer. False if one stays there: the kernel may wait for a device or a peer in a call that was not
    /// inspected (see `NativeCounts.credit`).
    private func awaitSubmitters() -> Bool {
        let counts = state.pointee.native
        var deadline: Nanoseconds?
        while true {
            let count = counts.pointee.submitters.load(ordering: .sequentiallyConsistent)
            guard count > 0 else { break }
            let now = Kernel.now()
            // The same number stayed the last time, so these are presumably the same threads.
            guard count > state.pointee.stayingSubmitters, now < deadline ?? .never else {
                state.pointee.stayingSubmitters = count
                return false
            }
            deadline = deadline ?? now &+ Self.submittersTime
            Kernel.yieldThread()
        }
        state.pointee.stayingSubmitters = 0
        return true
    }

    private static var submittersTime: Nanoseconds { 2_000_000 }

    // MARK: The kernel's remaining operations

    /// Under the lock: whether operations are in flight in the kernel, or threads wait there.
    private var hasNativeRest: Bool {
        state.pointee.outstandingCount > 0
            || state.pointee.native.pointee.waiters.load(ordering: .sequentiallyConsistent) > 0
    }

    /// Under the lock: moves completed events from the kernel's ring to the program's. Returns how many.
    func publishOutstanding() -> Int {
        assert(state.pointee.lock.isHeld)
        guard state.pointee.outstandingCount > 0 else { return 0 }
        return withUnsafeTemporaryAllocation(of: ck_io_event.self, capacity: 32) { events in
            var published = 0
            while state.pointee.outstandingCount > 0 {
                let place = UInt(bitPattern: events.baseAddress)
                let address = state.pointee.kernelAddress
                let count = Kernel.linuxAIOGetEvents(address, 0, events.count, place, 0, mask: 0)
                guard count > 0 else {
                    // Negative: the program has moved the ring from where the kernel looks for it; but EINTR is for a
                    // call without events during which a signal comes.
                    if count < 0, count != -Int(EINTR) { state.pointee.outstandingCount = 0 }
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

    /// io_cancel(2) of an operation that the kernel had before the switch.
    func cancelOutstanding(_ block: UInt, _ event: UInt) -> Int {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        guard state.pointee.outstandingCount > 0 else { return -Int(EINVAL) }
        return Kernel.linuxAIOCancel(state.pointee.kernelAddress, block, event)
    }

    /// Under the lock: wakes the threads that wait in the kernel, by polls of a ready eventfd, as far as the ring has
    /// room.
    private func wakeNativeWaiters() {
        assert(state.pointee.lock.isHeld)
        assert(!isNative, "the kernel has the context still")
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
                // Each thread takes at most `wanted` of them, and may take those that were meant for another.
                let wanted = count * max(counts.pointee.wanted.load(ordering: .relaxed), 1)
                for _ in 0..<min(wanted, Int(state.pointee.ring?.capacity ?? 0)) {
                    guard Kernel.linuxAIOSubmit(state.pointee.kernelAddress, 1, place) == 1 else { break }
                    state.pointee.outstandingCount += 1
                }
            }
        }
    }

    /// Starts the timer that checks on the kernel's operations while there are any: after a millisecond, and while
    /// there are no events, each time after twice as long.
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
    /// How many times the threads that wait in the kernel are woken. One that has not woken up by then has left the
    /// call.
    private static var tickCountMax: Int { 32 }

    /// Under the lock.
    private func tickRecord() -> UnsafeMutablePointer<Record>? {
        assert(state.pointee.lock.isHeld)
        if let tick = state.pointee.tick { return tick }
        guard let memory = malloc(MemoryLayout<Record>.stride) else { return nil }
        let tick = memory.bindMemory(to: Record.self, capacity: 1)
        tick.initialize(to: Record(self))
        tick.pointee.isTick = true
        state.pointee.tick = tick
        return tick
    }

    /// On the loop's thread: the timer has expired.
    func tick() {
        let loop = Library.shared()?.pointee.runningLoop()
        state.pointee.lock.lock()
        assert(state.pointee.isTicking, "a timer expires that does not run")
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
        // The timer keeps its reference for as long as it runs.
        let isTicking = state.pointee.isTicking
        if isTicking { references.pointee.wrappingAdd(1, ordering: .relaxed) }
        finishPublishing(count, leaving: 1)
    }

    /// Stops the timer, since the context ends.
    func stopTicking(_ loop: Carrier<Record>) {
        state.pointee.lock.lock()
        var isWithdrawn = false
        if state.pointee.isTicking, let tick = state.pointee.tick { isWithdrawn = loop.requestCancel(tick) }
        if isWithdrawn { state.pointee.isTicking = false }
        state.pointee.lock.unlock()
        if isWithdrawn { leave(1) }
    }
}
