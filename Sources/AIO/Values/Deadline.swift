internal import AIOCore

/// When an operation is cancelled: a point on the monotonic clock, which does not advance while the machine sleeps.
///
/// Examples: `.after(.seconds(2))`, `.now + .milliseconds(5)`, `Deadline(instant)`.
public struct Deadline: Sendable, Comparable, Hashable, BitwiseCopyable {
    let nanoseconds: Nanoseconds

    init(nanoseconds: Nanoseconds) { self.nanoseconds = nanoseconds }

    /// The same point in time as `instant` of the continuous clock, unless the machine sleeps before it.
    public init(_ instant: ContinuousClock.Instant) {
        self = .after(ContinuousClock.now.duration(to: instant))
    }

    /// No deadline.
    public static var never: Deadline { Deadline(nanoseconds: .never) }
    /// The present: a deadline that has just passed. Kernel call: clock_gettime(2) with CLOCK_MONOTONIC.
    public static var now: Deadline { Deadline(nanoseconds: Kernel.now()) }

    /// `duration` from now. A negative duration gives a deadline that has passed.
    public static func after(_ duration: Duration) -> Deadline { .now + duration }

    /// Whether the first is the earlier one. ``never`` comes last.
    public static func < (left: Deadline, right: Deadline) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The point in time a duration later. Saturates: at ``never``, and at the start of the clock.
    public static func + (deadline: Deadline, duration: Duration) -> Deadline {
        guard deadline != .never else { return .never }
        // In 128 bits neither the longest duration nor the sum overflows.
        let sum = Int128(deadline.nanoseconds) + duration.attoseconds / 1_000_000_000
        return Deadline(nanoseconds: Nanoseconds(clamping: sum))
    }

    /// The point in time a duration earlier. ``never`` minus a duration is ``never``.
    public static func - (deadline: Deadline, duration: Duration) -> Deadline { deadline + (.zero - duration) }

    /// Makes a deadline a duration later, as `+` does.
    public static func += (deadline: inout Deadline, duration: Duration) { deadline = deadline + duration }
    /// Makes a deadline a duration earlier, as `-` does.
    public static func -= (deadline: inout Deadline, duration: Duration) { deadline = deadline - duration }

    /// The time from `start` to `end`; negative if `end` is earlier. To or from ``never`` it is about 584 years.
    public static func - (end: Deadline, start: Deadline) -> Duration {
        let distance = Int128(end.nanoseconds) - Int128(start.nanoseconds)
        return Duration(attoseconds: distance * 1_000_000_000)
    }

    /// The time that is left; negative after the deadline.
    public var remaining: Duration { self - .now }

    /// Whether the point in time is not later than ``now``.
    public var hasPassed: Bool { self <= .now }
}
