/// A point on the monotonic clock, or a duration, in nanoseconds.
public typealias Nanoseconds = UInt64

extension Nanoseconds {
    /// The deadline that never passes.
    public static var never: Nanoseconds { .max }
}
