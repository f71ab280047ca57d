/// A point on the monotonic clock, or a length of time, in nanoseconds.
public typealias Nanoseconds = UInt64

extension Nanoseconds {
    /// The deadline that never comes.
    public static var never: Nanoseconds { .max }
}
