internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// io_getevents(2) and io_pgetevents(2): takes events, and waits for them.
struct Reaping: ~Copyable {
    let context: Context
    let countMin: Int
    let countMax: Int
    let events: UInt
    private var taken: Int

    private init(_ context: Context, _ countMin: Int, _ countMax: Int, _ events: UInt, taken: Int) {
        self.context = context
        self.countMin = countMin
        self.countMax = countMax
        self.events = events
        self.taken = taken
    }

    /// Returns the number of events at `events`, or a negative errno. `timeout` is a timespec's address or 0; `mask` a
    /// signal mask's, or 0. `looksFirst`: as libaio, which asks for nothing if it sees that there is nothing.
    static func reap(
        _ address: UInt, _ countMin: Int, _ countMax: Int, _ events: UInt, _ timeout: UInt, mask: UInt, looksFirst: Bool
    ) -> Int {
        guard let timeout = Timeout(timeout), mask == 0 || Kernel.canRead(mask, 8) else { return -Int(EFAULT) }
        guard let library = Library.shared(), let context = library.pointee.table.enter(address) else {
            return looksFirst && timeout.isZero && EventRing.isEmptyForeign(at: address) ? 0 : -Int(EINVAL)
        }
        let isSound = countMin >= 0 && countMin <= countMax
        let deadline = timeout.deadline()
        var taken = 0
        if context.isNative {
            // Without a reference: the kernel lets us go when the context ends, and a handler may leave by siglongjmp(3).
            context.leave(1)
            // What libaio looks at before it makes the call.
            if looksFirst, timeout.isZero, EventRing.isEmpty(at: address) { return 0 }
            switch context.reapNative(address, countMin, countMax, events, until: deadline, mask: mask) {
            case .done(let result): return result
            case .goesOn(let before): taken = before
            }
            guard library.pointee.table.enter(address) != nil else { return taken > 0 ? taken : -Int(EINVAL) }
        }
        defer { context.leave(1) }
        if looksFirst, timeout.isZero, context.isEmpty { return taken }
        guard isSound else { return -Int(EINVAL) }
        var reaping = Reaping(context, countMin, countMax, events, taken: taken)
        let result = reaping.run(until: deadline, mask)
        guard mask != 0, result >= 0 else { return result }
        // Signals that the mask lets through are delivered, whether there was anything to wait for or not.
        let interrupted = Kernel.pollSignals(mask)
        return result == 0 && interrupted ? -Int(EINTR) : result
    }

    private mutating func run(until deadline: Nanoseconds, _ mask: UInt) -> Int {
        let state = context.state
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        _ = context.publishOutstanding()
        var interruption = take()
        if deadline == 0 || interruption < 0 || taken >= wanted(deadline) { return taken > 0 ? taken : interruption }
        while true {
            let ended = wait(until: deadline, mask)
            interruption = take()
            if taken >= wanted(deadline) || interruption < 0 { break }
            if ended < 0 {
                if ended != -Int(ETIMEDOUT) { interruption = ended }
                break
            }
        }
        return taken > 0 ? taken : interruption
    }

    /// Under the lock: how many events to wait for. Programs that submit reads or writes through the page cache and ask for
    /// no event at least, but give a time, count on finding one: with the kernel's own the work was done within io_submit.
    private func wanted(_ deadline: Nanoseconds) -> Int {
        guard countMin == 0, deadline != .never, context.state.pointee.fileTransferCount > 0 else { return countMin }
        return min(1, countMax)
    }

    /// Under the lock: takes what is there. Returns a negative errno if the memory for it is not there, or the context
    /// is not any more.
    private mutating func take() -> Int {
        guard let ring = context.state.pointee.ring, context.isAlive else { return -Int(EINVAL) }
        let count = min(ring.count, countMax - taken)
        guard count > 0 else { return 0 }
        let size = MemoryLayout<ck_io_event>.stride
        let place = events &+ UInt(taken * size)
        guard di_is_heap(place, count * size) || Kernel.canOverwrite(place, count * size),
            let target = UnsafeMutablePointer<ck_io_event>(bitPattern: place)
        else { return -Int(EFAULT) }
        ring.take(count, into: target)
        taken += count
        return 0
    }

    /// Under the lock, which it gives up while it waits. Returns 0, or negative EINTR or ETIMEDOUT.
    private func wait(until deadline: Nanoseconds, _ mask: UInt) -> Int {
        let state = context.state
        // A lower number than others want wakes them as well, and they wait again.
        state.pointee.waiters.wanted = min(state.pointee.waiters.wanted, max(countMin - taken, 1))
        state.pointee.waiters.count += 1
        let result = mask == 0 ? waitForNews(until: deadline) : waitWithMask(until: deadline, mask)
        state.pointee.waiters.count -= 1
        if state.pointee.waiters.count == 0 { state.pointee.waiters.wanted = .max }
        return result
    }

    private func waitForNews(until deadline: Nanoseconds) -> Int {
        let state = context.state
        // Relaxed: it changes under the lock alone.
        let news = state.pointee.news.pointee.load(ordering: .relaxed)
        let isImminent = state.pointee.writes.hasWrites
        state.pointee.lock.unlock()
        defer { state.pointee.lock.lock() }
        if isImminent, hasNews(since: news) { return 0 }
        // Sequentially consistent with whoever publishes: he sees that we sleep, or the kernel that there are news.
        state.pointee.sleepers.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        defer { state.pointee.sleepers.pointee.wrappingSubtract(1, ordering: .sequentiallyConsistent) }
        let result = Kernel.futexWait(state.pointee.news, while: news, until: deadline)
        return result == -Int(EAGAIN) ? 0 : result
    }

    /// Looks for as long as falling asleep and being woken would cost both sides, if there is a processor to spare.
    private func hasNews(since old: UInt32) -> Bool {
        guard Library.shared().map({ $0.pointee.processors > 1 }) == true else { return false }
        let deadline = Kernel.now() &+ 4_000
        repeat {
            for _ in 0..<64 where context.state.pointee.news.pointee.load(ordering: .relaxed) != old { return true }
        } while Kernel.now() < deadline
        return false
    }

    /// The mask must be there exactly while the call sleeps: ppoll(2) does that, for which there is an eventfd.
    private func waitWithMask(until deadline: Nanoseconds, _ mask: UInt) -> Int {
        let state = context.state
        if state.pointee.waiters.descriptor < 0 {
            let made = Kernel.eventDescriptor()
            guard made >= 0 else { return made }
            state.pointee.waiters.descriptor = Int32(made)
        }
        let descriptor = state.pointee.waiters.descriptor
        state.pointee.waiters.maskedCount += 1
        state.pointee.lock.unlock()
        let result = Kernel.waitForEvent(descriptor, until: deadline, signalMask: mask)
        state.pointee.lock.lock()
        state.pointee.waiters.maskedCount -= 1
        // Read empty here; who else waits so is told again, if there is anything for him.
        Kernel.clearEvent(descriptor)
        let waiters = state.pointee.waiters
        if waiters.maskedCount > 0, state.pointee.ring.map({ $0.count >= waiters.wanted }) != false {
            Kernel.wake(descriptor)
        }
        return result
    }
}

/// The time to wait, as the program gave it: relative.
struct Timeout: BitwiseCopyable {
    private let length: Nanoseconds

    /// From a timespec's address; 0 is for ever. nil where there is none.
    init?(_ address: UInt) {
        guard address != 0 else {
            length = .never
            return
        }
        guard Kernel.canRead(address, MemoryLayout<ck_timespec>.size), let raw = UnsafeRawPointer(bitPattern: address)
        else { return nil }
        let time = raw.loadUnaligned(as: ck_timespec.self)
        // As the kernel reckons: what is negative, or too long, is for ever.
        let (seconds, overflows) = time.seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflows2) = seconds.addingReportingOverflow(time.nanoseconds)
        length = overflows || overflows2 || sum < 0 ? .never : Nanoseconds(sum)
    }

    var isZero: Bool { length == 0 }

    func deadline() -> Nanoseconds {
        // Most calls wait for ever or not at all, and need no clock.
        if isZero || length == .never { return length }
        let (sum, overflows) = Kernel.now().addingReportingOverflow(length)
        return overflows ? .never : sum
    }
}
