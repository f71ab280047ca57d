import AIO

/// What `aio serve` allows its clients.
struct ServeLimits: Sendable {
    /// Connections at a time.
    var connections = 0
    /// Bytes of a request's first line and fields.
    var headSize = 0
    /// Bytes of a request's body, which is read and dropped.
    var bodySize: Int64 = 0
    /// From the first byte of a request to its last.
    var headTime = Duration.zero
    /// Without a request.
    var idleTime = Duration.zero
    /// Without a byte that the client takes.
    var stallTime = Duration.zero
    /// From the signal to the end of what is under way.
    var shutdownTime = Duration.zero
}
