internal import AIOCore
internal import CDropIns
internal import CKernel
internal import CRawCalls
internal import DropInSupport
internal import Synchronization

/// io_getevents(2) and io_pgetevents(2): takes events, and waits for them. Its state is in the frame of the C function:
/// see reaps.h.
///
/// A thread that sleeps here may never return: it may be cancelled, or leave by siglongjmp(3). So it blocks no other
/// thread. It has left the context, so that io_destroy does not wait for it, and compares the context's `life` when it
/// wakes up.
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

    /// What the thread sleeps for.
    private enum Pause: BitwiseCopyable {
        /// Events of the loop.
        case news
        /// Events of the loop, with a signal mask.
        case maskedNews
        /// The same where there is no descriptor to wait for: the thread looks again after a time.
        case maskedLook
        /// Events of the kernel's own context.
        case native
        /// No events: the call only delivers the signals that the mask lets through.
        case signals(result: Int)
    }

    static var sleeps: Int { DROP_IN_SLEEPS }

    // MARK: The call

    /// Returns the number of events stored at `events`, a negative errno, or DROP_IN_SLEEPS. `timeout` is the address
    /// of a timespec or 0, `mask` that of a signal mask or 0. With `looksFirst`, as in libaio, the ring is looked at
    /// first, and an empty one with a zero timeout returns 0 at once. If the result is EINVAL and there is a mask, the
    /// prepared call delivers the signals that the mask lets through.
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
            // libaio looks at the ring before it makes the system call.
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

    /// Continues after a sleep. Returns what `begin` does.
    mutating func goOn(_ call: SleepingCall, _ slept: Int) -> Int {
        if case .signals(let result) = pause { return result == 0 && slept == -Int(EINTR) ? slept : result }
        if case .native = pause { return goOnNative(call, slept) }
        guard context.enterAgain(life) else { return slept == -Int(EINTR) ? takeLast() : takeAtEnd(call) }
        if case .maskedNews = pause {
            noteMasked()
            return reap(call, ended: slept == 0 ? -Int(ETIMEDOUT) : min(slept, 0))
        }
        if case .maskedLook = pause {
            return reap(call, ended: slept == 0 && Kernel.now() >= deadline ? -Int(ETIMEDOUT) : min(slept, 0))
        }
        // EAGAIN: the word has changed, so there is news.
        return reap(call, ended: slept == -Int(EAGAIN) ? 0 : slept)
    }

    /// Leaves the context and returns the result.
    func end(_ result: Int) -> Int {
        context.leave(1)
        return result
    }

    // MARK: The loop's events

    /// Takes the available events, and sleeps if they are not enough. `ended` is 0, or the negative EINTR or ETIMEDOUT
    /// with which a sleep ended.
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
            // Other waiters that want more events are woken too early then, and wait again.
            context.state.pointee.waiters.begin(wanting: wanted - taken)
            if mask != 0 { return sleepWithMask(call) }
            if sleepsForNews(call) { return Self.sleeps }
        }
    }

    /// Under the lock: how many events to wait for. A program that submits buffered reads or writes, and then asks for
    /// at least 0 events within some time expects to find one: the kernel's own Linux AIO would have done the work
    /// within io_submit.
    private var wanted: Int {
        guard countMin == 0, deadline != .never, context.state.pointee.transferCount > 0 else { return countMin }
        return min(1, countMax)
    }

    /// Ends a call in which the kernel's own context took no part.
    private mutating func end(_ call: SleepingCall, _ result: Int) -> Int {
        _ = end(result)
        guard mask != 0, result >= 0 else { return result }
        // The signals are delivered whether the call would have waited or not.
        pause = .signals(result: result)
        call.deliverSignals(mask)
        return Self.sleeps
    }

    /// Under the lock: takes the available events. Returns 0, negative EFAULT if the program's memory cannot be
    /// written, or negative EINVAL if the context has ended and no transfer is in flight that the kernel would have
    /// done by now.
    private mutating func take() -> Int {
        assert(context.state.pointee.lock.isHeld)
        guard let ring = context.state.pointee.ring else { return -Int(EINVAL) }
        let refused = take(atMost: ring.count) { ring.take($0, into: $1) }
        let mayGoOn = context.isAlive || context.state.pointee.transferCount > 0
        return refused < 0 || mayGoOn ? refused : -Int(EINVAL)
    }

    /// For a context that is being destroyed or has been: sleeps until it has been destroyed, or until the deadline.
    /// Completions may end the sleep earlier. Returns what `begin` does.
    private mutating func takeAtEnd(_ call: SleepingCall) -> Int {
        let state = context.state
        let news = state.pointee.news.word.pointee.load(ordering: .sequentiallyConsistent)
        state.pointee.news.announceSleep()
        // `destroy` changes the life before the news. If the new life is not seen here, the change of the news ends the
        // sleep.
        guard context.life == life, Kernel.now() < deadline else { return takeLast() }
        pause = .news
        call.waitForWord(state.pointee.news.word, while: news, until: deadline, isInterruptible: true)
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

    /// Under the lock. Returns 0, or negative EFAULT if the memory for the events cannot be written.
    private mutating func take(atMost most: Int, _ move: (Int, UnsafeMutablePointer<ck_io_event>) -> Void) -> Int {
        assert(taken <= countMax, "more events are taken than asked for")
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

    /// Under the lock, which it releases. Prepares a sleep and leaves the context. Returns false, still inside, if
    /// there is news already.
    private mutating func sleepsForNews(_ call: SleepingCall) -> Bool {
        let state = context.state
        assert(state.pointee.lock.isHeld)
        assert(state.pointee.waiters.wanted < .max, "the thread is not counted among those that wait")
        // Relaxed: events change it under the lock, and a waking thread once more without the lock. If this load misses
        // that change, the sleep ends at once.
        let news = state.pointee.news.word.pointee.load(ordering: .relaxed)
        let isImminent = state.pointee.writes.hasWrites
        state.pointee.lock.unlock()
        if isImminent, hasNews(since: news) { return false }
        state.pointee.news.announceSleep()
        pause = .news
        // The words are never freed.
        call.waitForWord(state.pointee.news.word, while: news, until: deadline, isInterruptible: true)
        context.leave(1)
        return true
    }

    /// Spins for about as long as going to sleep and being woken cost both sides, if there is more than one processor.
    private func hasNews(since old: UInt32) -> Bool {
        guard Library.shared().map({ $0.pointee.processors > 1 }) == true else { return false }
        let word = context.state.pointee.news.word
        let deadline = Kernel.now() &+ 4_000
        repeat {
            for _ in 0..<64 where word.pointee.load(ordering: .relaxed) != old { return true }
        } while Kernel.now() < deadline
        return false
    }

    /// Under the lock, which it releases. The mask must be installed exactly while the call sleeps. ppoll(2) does that,
    /// and waits for an eventfd.
    private mutating func sleepWithMask(_ call: SleepingCall) -> Int {
        assert(context.state.pointee.lock.isHeld)
        let descriptor = context.state.pointee.waiters.beginMasked()
        context.state.pointee.lock.unlock()
        guard descriptor >= 0 else {
            pause = .maskedLook
            let look = min(deadline, Kernel.now() &+ Self.lookTime)
            // ppoll(2) leaves out a negative descriptor.
            call.waitForEvent(-1, until: look, signalMask: mask)
            return end(Self.sleeps)
        }
        pause = .maskedNews
        call.waitForEvent(Int32(descriptor), until: deadline, signalMask: mask)
        return end(Self.sleeps)
    }

    private static var lookTime: Nanoseconds { 5_000_000 }

    /// Counts the thread out after such a sleep.
    private func noteMasked() {
        let state = context.state
        state.pointee.lock.lock()
        state.pointee.waiters.endMasked()
        // This clears the eventfd: signal it again if other threads wait on it and there are enough events.
        let waiters = state.pointee.waiters
        Kernel.clearEvent(waiters.descriptor)
        if waiters.maskedCount > 0, state.pointee.ring.map({ $0.count >= waiters.wanted }) != false {
            Kernel.wake(waiters.descriptor)
        }
        state.pointee.lock.unlock()
    }

    // MARK: The kernel's events

    /// For a context of the kernel's: returns the kernel's answer, or DROP_IN_SLEEPS, and has left the context. nil if
    /// the context belongs to the loop.
    private mutating func reapNative(_ call: SleepingCall) -> Int? {
        let mayWait = countMin > 0 && deadline != 0
        guard mayWait || mask != 0 else {
            guard context.isNative else { return nil }
            let count = Kernel.linuxAIOGetEvents(address, countMin, countMax, events, 0, mask: 0)
            return end(count <= 0 || context.isNative ? count : context.dropMarkers(events, count))
        }
        guard context.beginNativeReaping(wanting: mayWait ? countMin : 0) else { return nil }
        pause = .native
        call.getLinuxAIOEvents(address, countMin, countMax, events, until: deadline, mask: mask)
        return end(Self.sleeps)
    }

    /// Continues after a sleep in the kernel. The context may have switched to the loop meanwhile, or ended.
    private mutating func goOnNative(_ call: SleepingCall, _ count: Int) -> Int {
        assert(count <= countMax && taken == 0, "the kernel returned more events than asked for")
        context.endNativeReaping()
        guard count >= 0 else { return count }
        guard context.enterAgain(life) else {
            taken = Context.dropMarkers(events, count)
            // Without a marker the context had not switched, and this is the kernel's answer.
            return count > taken ? takeAtEnd(call) : taken
        }
        guard !context.isNative else { return end(count) }
        taken = context.dropMarkers(events, count)
        return reap(call, ended: 0)
    }
}

/// The frame of the C function: the system call, followed by Swift's state.
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

/// The timeout as the program gave it: relative.
struct Timeout: BitwiseCopyable {
    private let length: Nanoseconds

    /// Reads a timespec; the address 0 means for ever. nil if it cannot be read.
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
        // As in the kernel, a negative or too long timeout means for ever.
        let (seconds, overflows) = time.seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflows2) = seconds.addingReportingOverflow(time.nanoseconds)
        length = overflows || overflows2 || sum < 0 ? .never : Nanoseconds(sum)
    }

    var isZero: Bool { length == 0 }

    func deadline() -> Nanoseconds {
        // Most calls wait for ever or not at all, and do not need the clock.
        if isZero || length == .never { return length }
        let (sum, overflows) = Kernel.now().addingReportingOverflow(length)
        return overflows ? .never : sum
    }
}
