package import AIOCore

/// What all hosts of a simulation share: the clock, the seed's choices, the events to come, and the trace.
///
/// One thread alone uses a world and everything in it. Nothing in it may depend on anything but the seed and the
/// program: no addresses, no real time, no unordered collections that are iterated.
package final class World {
    /// The virtual clock. Begins at one second: 0 has meanings of its own.
    package private(set) var now: Nanoseconds
    /// The wall clock's distance: the simulation begins on 2001-09-09 at 01:46:40 UTC.
    let wallClockOffset: Nanoseconds = 999_999_999_000_000_000
    var random: SimulatedRandom
    /// The choices of faults by chance.
    var faultRandom: SimulatedRandom
    let trace: Trace
    private var events = EventHeap()
    private(set) lazy var network = SimulatedNetwork(in: self)

    /// The system calls of all hosts, but for those of their engines.
    private(set) var callCount = 0
    /// Called before the call of this number.
    private var crash: (call: Int, action: () -> Void)?
    /// Whether the power is off: every system call of a program then fails with EIO, and every wait ends.
    private(set) var isOff = false

    /// Whether the body has returned, and what is left of its tasks ends: nothing hangs any more.
    var isEnding = false

    package init(seed: UInt64, start: Nanoseconds = 1_000_000_000) {
        now = start
        random = SimulatedRandom(seed: seed)
        faultRandom = SimulatedRandom(seed: ~seed)
        trace = Trace(seed: seed)
    }

    /// Has `action` happen at a time that is not before now. Events of the same time happen in the order in which they
    /// were scheduled.
    func schedule(at time: Nanoseconds, _ action: @escaping () -> Void) { events.insert(max(time, now), action) }

    func schedule(after delay: Nanoseconds, _ action: @escaping () -> Void) { schedule(at: now &+ delay, action) }

    /// The time of the next event; `.never` without one.
    var nextEvent: Nanoseconds { events.firstTime }

    /// Moves the clock to a time, which is not after the next event's.
    func advance(to time: Nanoseconds) {
        assert(time == now || time > now && time <= nextEvent, "time is skipped, or runs backwards")
        now = time
    }

    /// Lets time pass in the middle of an event. Those that fall into it happen afterwards, late.
    func spend(_ time: Nanoseconds) { now = now &+ time }

    /// Lets the next event happen, at its time, or late.
    func runNextEvent() {
        guard let (time, action) = events.popFirst() else { return }
        now = max(now, time)
        action()
    }

    /// What the last call that would have blocked waits for, and what has to happen if it is not made again
    /// (`SimulatedKernel`). Here, since a process may have another's descriptor.
    var blockedOn: [OpenDescription] = []
    var giveUp: (() -> Void)?

    /// To be called at the end of a run: a description may keep the world alive.
    func forgetBlockedCall() {
        blockedOn = []
        giveUp = nil
    }

    private var processCount: Int32 = 1000

    func newProcessID() -> Int32 {
        processCount += 1
        return processCount
    }

    // MARK: Crashes

    func countCall() {
        callCount += 1
        guard let crash, crash.call == callCount else { return }
        crashNow(crash.action)
    }

    /// Has the power go off before a call. `action` notes what survives.
    func setCrash(beforeCall call: Int, _ action: @escaping () -> Void) { crash = (call, action) }

    /// To be called at the end of a run: the action of a crash would keep the run and its world alive.
    func forgetCrash() { crash = nil }

    func crashNow(_ action: () -> Void) {
        guard !isOff else { return }
        trace.note(now, "world", "the power goes off")
        action()
        isOff = true
    }

    /// Ends everything that waits, because nothing else can.
    func turnOff() { isOff = true }
}
