internal import AIOCore
internal import CDropIns
internal import CKernel
internal import CRawCalls
internal import DropInSupport
internal import Synchronization

/// io_getevents(2) and io_pgetevents(2): takes events, and waits for them. It lies in the frame of the call, which is
/// C's: see reaps.h.
///
/// A thread that sleeps here is in nobody's way: it is not inside the context while it does, so that io_destroy does
/// not wait for it, and finds out by itself whether the context is still the one that it knew. For it may never come
/// back: a signal handler may have taken it elsewhere.
struct Reaping: BitwiseCopyable {
    let context: Context
    let life: UInt32
    let address: UInt
    let countMin: Int
    let countMax: Int
    let events: UInt
    let deadline: Nanoseconds
    let mask: UInt
    var taken = 0
    private var pause = Pause.news

    /// What it sleeps for.
    private enum Pause: BitwiseCopyable {
        /// The loop's.
        case news
        /// The same, with a signal mask.
        case maskedNews
        /// The events of the kernel's own context.
        case native
        /// Nothing more: signals that the mask lets through are delivered.
        case signals(result: Int)
    }

    static var sleeps: Int { DROP_IN_SLEEPS }

    // MARK: The call

    /// Returns the number of events at `events`, or a negative errno. `timeout` is a timespec's address or 0; `mask` a
    /// signal mask's, or 0. `looksFirst`: as libaio, which asks for nothing if it sees that there is nothing. Or it
    /// sleeps. Refused with EINVAL, with a mask, the call is set to deliver the signals that the mask lets in.
    static func begin(
        _ frame: ReapingFrame, _ address: UInt, _ countMin: Int, _ countMax: Int, _ events: UInt, _ timeout: UInt,
        mask: UInt, looksFirst: Bool
    ) -> Int {
        let result = beginUnlessRefused(frame, address, countMin, countMax, events, timeout, mask, looksFirst)
        if result == -Int(EINVAL), mask != 0 { frame.call.deliverSignals(mask) }
        return result
    }

    private static func beginUnlessRefused(
        _ frame: ReapingFrame, _ address: UInt, _ countMin: Int, _ countMax: Int, _ events: UInt, _ timeout: UInt,
        _ mask: UInt, _ looksFirst: Bool
    ) -> Int {
        guard let timeout = Timeout(timeout), mask == 0 || Kernel.canRead(mask, 8) else { return -Int(EFAULT) }
        guard let library = Library.shared(), let context = library.pointee.table.enter(address) else {
            return looksFirst && timeout.isZero && EventRing.isEmptyForeign(at: address) ? 0 : -Int(EINVAL)
        }
        let isSound = countMin >= 0 && countMin <= countMax
        guard isSound else {
            defer { context.leave(1) }
            // What libaio looks at before it makes the call.
            return looksFirst && timeout.isZero && context.isEmpty ? 0 : -Int(EINVAL)
        }
        frame.state.initialize(
            to: Reaping(
                context: context, life: context.life, address: address, countMin: countMin, countMax: countMax,
                events: events,
                deadline: timeout.deadline(), mask: mask))
        return frame.state.pointee.begin(frame.call, looksFirst: looksFirst && timeout.isZero)
    }

    private mutating func begin(_ call: SleepingCall, looksFirst: Bool) -> Int {
        if looksFirst, context.isEmpty { return end(0) }
        return reapNative(call) ?? reap(call, ended: 0)
    }

    /// After a sleep. As `begin`.
    mutating func goOn(_ call: SleepingCall, _ slept: Int) -> Int {
        if case .signals(let result) = pause { return result == 0 && slept == -Int(EINTR) ? slept : result }
        if case .native = pause { return goOnNative(call, slept) }
        guard context.enterAgain(life) else { return slept == -Int(EINTR) ? takeLast() : takeAtEnd(call) }
        if case .maskedNews = pause {
            noteMasked()
            return reap(call, ended: slept == 0 ? -Int(ETIMEDOUT) : min(slept, 0))
        }
        // Something else in the word means that there are news.
        return reap(call, ended: slept == -Int(EAGAIN) ? 0 : slept)
    }

    /// Leaves the context.
    func end(_ result: Int) -> Int {
        context.leave(1)
        return result
    }

    // MARK: The loop's events

    /// Takes what is there, and sleeps if that is not enough. `ended`: 0, or the negative EINTR or ETIMEDOUT that a
    /// sleep ended with.
    private mutating func reap(_ call: SleepingCall, ended: Int) -> Int {
        while true {
            context.state.pointee.lock.lock()
            _ = context.publishOutstanding()
            let interruption = take()
            let wanted = wanted
            if deadline == 0 || interruption < 0 || taken >= wanted || ended < 0 {
                context.state.pointee.lock.unlock()
                let nothing = interruption < 0 ? interruption : ended == -Int(ETIMEDOUT) ? 0 : ended
                return end(call, taken > 0 ? taken : nothing)
            }
            // A lower number than others want wakes them as well, and they wait again.
            context.state.pointee.waiters.begin(wanting: wanted - taken)
            if mask != 0 { return sleepWithMask(call) }
            if sleepsForNews(call) { return Self.sleeps }
        }
    }

    /// Under the lock: how many events to wait for. Programs that submit reads or writes through the page cache and ask for
    /// no event at least, but give a time, count on finding one: with the kernel's own the work was done within io_submit.
    private var wanted: Int {
        guard countMin == 0, deadline != .never, context.state.pointee.transferCount > 0 else { return countMin }
        return min(1, countMax)
    }

    /// The end of a call that the kernel's own context had no part in.
    private mutating func end(_ call: SleepingCall, _ result: Int) -> Int {
        _ = end(result)
        guard mask != 0, result >= 0 else { return result }
        // Whether there was anything to wait for or not.
        pause = .signals(result: result)
        call.deliverSignals(mask)
        return Self.sleeps
    }

    /// Under the lock: takes what is there. Returns a negative errno if the memory for it is not there, or the context
    /// is not any more, and nothing will come that the kernel would have done by now.
    private mutating func take() -> Int {
        guard let ring = context.state.pointee.ring else { return -Int(EINVAL) }
        let refused = take(atMost: ring.count) { ring.take($0, into: $1) }
        let mayGoOn = context.isAlive || context.state.pointee.transferCount > 0
        return refused < 0 || mayGoOn ? refused : -Int(EINVAL)
    }

    /// For a context that is being destroyed or has been: sleeps until it has been destroyed, or until the deadline.
    /// Completions may end the sleep earlier. Returns what `begin` does.
    private mutating func takeAtEnd(_ call: SleepingCall) -> Int {
        let state = context.state
        let news = state.pointee.news.pointee.load(ordering: .sequentiallyConsistent)
        state.pointee.isSleptOn.pointee.store(1, ordering: .sequentiallyConsistent)
        // `destroy` changes the life before the news. If the new life is not seen here, the change of the news ends the
        // sleep.
        guard context.life == life, Kernel.now() < deadline else { return takeLast() }
        pause = .news
        call.waitForWord(state.pointee.news, while: news, until: deadline, isInterruptible: true)
        return Self.sleeps
    }

    /// For a context that ended during the sleep: takes the events that were kept. Returns what `begin` does.
    private mutating func takeLast() -> Int {
        let state = context.state
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        let refused = take(atMost: state.pointee.lastEvents.count(life)) { state.pointee.lastEvents.take($0, into: $1) }
        return taken > 0 ? taken : refused < 0 ? refused : -Int(EINVAL)
    }

    /// Under the lock: 0, or a negative errno if the memory for the events is not there.
    private mutating func take(atMost most: Int, _ move: (Int, UnsafeMutablePointer<ck_io_event>) -> Void) -> Int {
        let count = min(most, countMax - taken)
        guard count > 0 else { return 0 }
        let size = MemoryLayout<ck_io_event>.stride
        let place = events &+ UInt(taken * size)
        guard KnownMemory.isThere(place, count * size) || Kernel.canOverwrite(place, count * size),
            let target = UnsafeMutablePointer<ck_io_event>(bitPattern: place)
        else { return -Int(EFAULT) }
        move(count, target)
        taken += count
        return 0
    }

    /// Under the lock, which it gives up: false if there are news already, or else it has left the context.
    private mutating func sleepsForNews(_ call: SleepingCall) -> Bool {
        let state = context.state
        // Relaxed: it changes under the lock alone.
        let news = state.pointee.news.pointee.load(ordering: .relaxed)
        let isImminent = state.pointee.writes.hasWrites
        state.pointee.lock.unlock()
        if isImminent, hasNews(since: news) { return false }
        // Sequentially consistent with whoever publishes: he sees that we sleep, or the kernel that there are news.
        state.pointee.isSleptOn.pointee.store(1, ordering: .sequentiallyConsistent)
        pause = .news
        // The words are never freed.
        call.waitForWord(state.pointee.news, while: news, until: deadline, isInterruptible: true)
        context.leave(1)
        return true
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

    /// Under the lock, which it gives up. The mask must be there exactly while the call sleeps: ppoll(2) does that, for
    /// which there is an eventfd.
    private mutating func sleepWithMask(_ call: SleepingCall) -> Int {
        let descriptor = context.state.pointee.waiters.beginMasked()
        guard descriptor >= 0 else {
            context.state.pointee.lock.unlock()
            return end(taken > 0 ? taken : descriptor)
        }
        context.state.pointee.lock.unlock()
        pause = .maskedNews
        call.waitForEvent(Int32(descriptor), until: deadline, signalMask: mask)
        return end(Self.sleeps)
    }

    /// After such a sleep.
    private func noteMasked() {
        let state = context.state
        state.pointee.lock.lock()
        state.pointee.waiters.endMasked()
        // Read empty here; who else waits so is told again, if there is anything for him.
        let waiters = state.pointee.waiters
        Kernel.clearEvent(waiters.descriptor)
        if waiters.maskedCount > 0, state.pointee.ring.map({ $0.count >= waiters.wanted }) != false {
            Kernel.wake(waiters.descriptor)
        }
        state.pointee.lock.unlock()
    }

    // MARK: The kernel's

    /// Of a context that is the kernel's: its answer, or it sleeps; either way it has left the context. nil if the context
    /// is the loop's.
    private mutating func reapNative(_ call: SleepingCall) -> Int? {
        let mayWait = countMin > 0 && deadline != 0
        guard mayWait || mask != 0 else {
            guard context.isNative else { return nil }
            let count = Kernel.linuxAIOGetEvents(address, countMin, countMax, events, 0, mask: 0)
            return end(count <= 0 || context.isNative ? count : Context.dropMarkers(events, count))
        }
        guard context.beginNativeReaping(wanting: mayWait ? countMin : 0) else { return nil }
        pause = .native
        call.getLinuxAIOEvents(address, countMin, countMax, events, until: deadline, mask: mask)
        return end(Self.sleeps)
    }

    /// After it: the context may have turned to the loop, or ended.
    private mutating func goOnNative(_ call: SleepingCall, _ count: Int) -> Int {
        context.endNativeReaping()
        guard count >= 0 else { return count }
        guard context.enterAgain(life) else {
            taken = Context.dropMarkers(events, count)
            // Without a marker the context had not switched, and this is the kernel's answer.
            return count > taken ? takeAtEnd(call) : taken
        }
        guard !context.isNative else { return end(count) }
        taken = Context.dropMarkers(events, count)
        return reap(call, ended: 0)
    }
}

/// What C's frame has: the system call, and behind it what Swift keeps.
struct ReapingFrame: BitwiseCopyable {
    let call: SleepingCall
    let state: UnsafeMutablePointer<Reaping>

    init?(_ place: UnsafeMutableRawPointer?) {
        precondition(MemoryLayout<Reaping>.size <= LIBAIO_REAPING_WORDS * MemoryLayout<Int>.size)
        guard let place else { return nil }
        call = place.assumingMemoryBound(to: ck_sleeping_call.self)
        state = (place + MemoryLayout<ck_sleeping_call>.stride).assumingMemoryBound(to: Reaping.self)
    }
}

@c(libaio_begin_reaping)
func beginReaping(
    _ place: UnsafeMutableRawPointer?, _ context: UInt, _ least: Int, _ most: Int, _ events: UInt, _ timeout: UInt,
    _ mask: UInt, _ looksFirst: Bool
) -> Int {
    guard let frame = ReapingFrame(place) else { return -Int(EFAULT) }
    return Reaping.begin(frame, context, least, most, events, timeout, mask: mask, looksFirst: looksFirst)
}

@c(libaio_go_on_reaping)
func goOnReaping(_ place: UnsafeMutableRawPointer?, _ slept: Int) -> Int {
    guard let frame = ReapingFrame(place) else { return -Int(EFAULT) }
    return frame.state.pointee.goOn(frame.call, slept)
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
        let size = MemoryLayout<ck_timespec>.size
        guard KnownMemory.isThere(address, size) || Kernel.canRead(address, size),
            let raw = UnsafeRawPointer(bitPattern: address)
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
