internal import AIOCore

/// When an operation is to be given up: a point on the monotonic clock, which stands still while the machine sleeps.
///
/// `.after(.seconds(2))`, `.now + .milliseconds(5)`, `Deadline(instant)`.
public struct Deadline: Sendable, Comparable, Hashable, BitwiseCopyable {
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
        // In 128 bits, where neither the longest duration nor the sum overflows.
        let sum = Int128(deadline.nanoseconds) + duration.attoseconds / 1_000_000_000
        return Deadline(nanoseconds: Nanoseconds(clamping: sum))
    }
}
