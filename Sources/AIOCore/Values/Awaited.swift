/// The event after which an operation that would block is retried.
enum Awaited: BitwiseCopyable {
    /// Readiness of its descriptor.
    case descriptor(Interest)
    /// A point on the monotonic clock.
    case clock
    /// A futex wake-up (FUTEX_WAKE) on a word in memory.
    case wakeUp
}

/// The kind of readiness that an operation needs.
enum Interest: UInt8, BitwiseCopyable {
    /// Readable: data, a pending connection, a child that changed state.
    case reading
    /// Writable: room in the send buffer, or an established connection.
    case writing
    /// One of the poll events that the operation names.
    case polling
}
