import AIO

/// The limits that `aio serve` imposes on clients.
struct ServeLimits: Sendable {
    /// Concurrent connections.
    var connections = 0
    /// Bytes of a request line and its fields.
    var headSize = 0
    /// Bytes of a request's body, which is read and discarded.
    var bodySize: Int64 = 0
    /// From the first byte of a request to its last.
    var headTime = Duration.zero
    /// The longest wait for a request.
    var idleTime = Duration.zero
    /// The longest time in which the client accepts no byte.
    var stallTime = Duration.zero
    /// From the signal until requests in progress are aborted.
    var shutdownTime = Duration.zero
}
