internal import AIOCore
internal import CKernel

/// eventfd(2): a counter.
final class EventDescription: StreamDescription {
    private var count: UInt64
    private let isSemaphore: Bool
    private static let countMax = UInt64.max - 1

    init(_ kernel: SimulatedKernel, count: UInt64, isSemaphore: Bool, flags: UInt64) {
        self.count = count
        self.isSemaphore = isSemaphore
        super.init(kernel, flags: flags | CK_O_RDWR)
    }

    override var name: String { "eventfd" }
    // eventfd_write is no write_iter, so RWF_NOWAIT is refused.
    override var writesWithoutWaiting: Bool { false }

    override func read(_ target: inout ReadTarget, withoutWaiting: Bool) -> Int {
        guard target.room >= 8 else { return -Int(EINVAL) }
        guard count > 0 else { return blocked(withoutWaiting) }
        let taken = isSemaphore ? 1 : count
        count -= taken
        withUnsafeBytes(of: taken) { _ = target.put($0) }
        readinessChanged()
        return 8
    }

    override func write(_ source: inout WriteSource, withoutWaiting: Bool) -> Int {
        guard source.remaining >= 8 else { return -Int(EINVAL) }
        let added = source.take(8).withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
        guard added != .max else { return -Int(EINVAL) }
        guard Self.countMax - count >= added else { return blocked(withoutWaiting) }
        count += added
        readinessChanged()
        return 8
    }

    override var readyEvents: UInt32 { (count > 0 ? CK_POLLIN : 0) | (count < Self.countMax ? CK_POLLOUT : 0) }
}

/// timerfd_create(2) on the virtual clock.
final class TimerDescription: StreamDescription {
    private var interval: Nanoseconds = 0
    /// The next expiry that has not been read; `.never` if disarmed, or expired without an interval and read.
    private var expiry: Nanoseconds = .never
    /// Distinguishes an event from those of earlier settings.
    private var settingCount = 0

    override init(_ kernel: SimulatedKernel, flags: UInt64) { super.init(kernel, flags: flags | CK_O_RDWR) }

    override var name: String { "timerfd" }

    private var now: Nanoseconds { kernel.world.now }
    private var hasExpired: Bool { expiry <= now }

    /// timerfd_settime(2): a first expiry of 0 disarms.
    func set(first: Nanoseconds, interval: Nanoseconds, isAbsolute: Bool) {
        self.interval = interval
        arm(first == 0 ? .never : isAbsolute ? first : now &+ first)
    }

    /// timerfd_gettime(2): the time to the next expiry, 0 if disarmed.
    var setting: (interval: Nanoseconds, remaining: Nanoseconds) {
        guard expiry != .never else { return (interval, 0) }
        guard hasExpired else { return (interval, expiry - now) }
        return (interval, interval == 0 ? 0 : interval - (now - expiry) % interval)
    }

    private static let horizon: Nanoseconds = 1 << 60

    private func arm(_ time: Nanoseconds) {
        expiry = time
        settingCount += 1
        // No simulation lasts for decades: a deadline beyond is no event that anything waits for.
        guard time < Self.horizon else { return readinessChanged() }
        let armed = settingCount
        kernel.world.schedule(at: time) { [weak self] in
            if let self, self.settingCount == armed { self.readinessChanged() }
        }
        if hasExpired { readinessChanged() }
    }

    override func read(_ target: inout ReadTarget, withoutWaiting: Bool) -> Int {
        guard target.room >= 8 else { return -Int(EINVAL) }
        guard hasExpired else { return blocked(withoutWaiting) }
        let ticks = interval == 0 ? 1 : (now - expiry) / interval + 1
        withUnsafeBytes(of: ticks) { _ = target.put($0) }
        arm(interval == 0 ? .never : expiry &+ ticks &* interval)
        return 8
    }

    override var readyEvents: UInt32 { hasExpired ? CK_POLLIN : 0 }
}
