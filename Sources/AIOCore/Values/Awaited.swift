/// What has to happen before an operation can go on that found nothing to do.
enum Awaited: BitwiseCopyable {
    /// Its descriptor becomes ready.
    case descriptor(Interest)
    /// The clock reaches a time.
    case clock
    /// Somebody wakes a word in memory.
    case wakeUp
}

/// What an operation wants of its descriptor.
enum Interest: UInt8, BitwiseCopyable {
    /// Something to read: data, a connection, a child that has ended.
    case reading
    /// Room to write, or a connection that stands.
    case writing
    /// One of the events that the operation names.
    case polling
}
