internal import AIOCore

/// When an operation is to be given up: a point on the monotonic clock, which stands still while the machine sleeps.
///
/// `.after(.seconds(2))`, `.now + .milliseconds(5)`, `Deadline(instant)`.
public struct Deadline: Sendable, Comparable, BitwiseCopyable {
    let nanoseconds: Nanoseconds

    init(nanoseconds: Nanoseconds) { self.nanoseconds = nanoseconds }

    /// The point that is `instant` on the continuous clock, if the machine does not sleep before.
    public init(_ instant: ContinuousClock.Instant) {
        self = .after(ContinuousClock.now.duration(to: instant))
    }

    public static var never: Deadline { Deadline(nanoseconds: .never) }
    public static var now: Deadline { Deadline(nanoseconds: Kernel.now()) }

    /// `duration` from now; a negative one has passed already.
    public static func after(_ duration: Duration) -> Deadline { .now + duration }

    public static func < (left: Deadline, right: Deadline) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Durations too long to count lead to `never`, or to the beginning of the clock.
    public static func + (deadline: Deadline, duration: Duration) -> Deadline {
        guard deadline != .never else { return .never }
        let isLater = duration >= .zero
        let (seconds, attoseconds) = (isLater ? duration : .zero - duration).components
        let (whole, overflows) = Nanoseconds(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let (distance, overflowsToo) = whole.addingReportingOverflow(Nanoseconds(attoseconds) / 1_000_000_000)
        guard !overflows, !overflowsToo else { return isLater ? .never : Deadline(nanoseconds: 0) }
        let (sum, isOut) =
            isLater
            ? deadline.nanoseconds.addingReportingOverflow(distance)
            : deadline.nanoseconds.subtractingReportingOverflow(distance)
        guard !isOut else { return isLater ? .never : Deadline(nanoseconds: 0) }
        return Deadline(nanoseconds: sum)
    }
}
