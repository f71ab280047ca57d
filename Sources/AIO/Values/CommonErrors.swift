// What an error is, as properties: Swift 6.3 does not compile `catch let error as IOError where ...` in a function whose calls
// throw typed errors (the compiler crashes), and `catch { if error.isNotFound ... }` reads as well.
extension IOError {
    /// There is no such file, directory or name.
    public var isNotFound: Bool { code == .notFound }
    public var isAlreadyExists: Bool { code == .alreadyExists }
    /// EACCES or EPERM.
    public var isPermissionDenied: Bool { code == .permissionDenied }
    /// The task was cancelled, or somebody asked for an end to the operation.
    public var isCancelled: Bool { code == .cancelled }
    public var isDeadlineExceeded: Bool { code == .deadlineExceeded }
    /// The file, connection or listener was closed on this side.
    public var isClosed: Bool { code == .fileClosed }
    /// The other side is gone: it has closed, or ended the connection by force.
    public var isDisconnected: Bool { code == .connectionReset || code == .brokenPipe || code == .connectionAborted }
}

/// Calls `body`, and throws `CancellationError` where an operation in it ended as `cancelled` in a cancelled task: for code
/// around it that tells a cancellation by that, as Swift's own functions do. All other errors are passed on as they are.
public func throwingCancellationError<Result>(
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
) async throws -> Result {
    do { return try await body() } catch let error as IOError {
        if error.isCancelled, Task.isCancelled { throw CancellationError() }
        throw error
    }
}
