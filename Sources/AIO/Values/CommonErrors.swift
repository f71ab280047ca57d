// Error tests as properties. Swift 6.3 crashes when it compiles `catch let error as IOError where ...` in a function
// whose calls have typed throws; `catch { if error.isNotFound ... }` reads as well.
extension IOError {
    /// No such file, directory or name exists.
    public var isNotFound: Bool { code == .notFound }
    /// A file, directory or name exists already.
    public var isAlreadyExists: Bool { code == .alreadyExists }
    /// EACCES or EPERM.
    public var isPermissionDenied: Bool { code == .permissionDenied }
    /// The task was cancelled, or cancellation of the operation was requested.
    public var isCancelled: Bool { code == .cancelled }
    /// The caller's deadline passed before the operation was done.
    public var isDeadlineExceeded: Bool { code == .deadlineExceeded }
    /// The file, connection or listener was closed on this side.
    public var isClosed: Bool { code == .fileClosed }
    /// The peer has closed or reset the connection.
    public var isDisconnected: Bool { code == .connectionReset || code == .brokenPipe || code == .connectionAborted }
}

/// Calls `body`, and throws `CancellationError` in place of ``IOError/Code/cancelled`` in a cancelled task, for callers
/// that expect what Swift's own functions throw. All other errors are rethrown unchanged.
public func throwingCancellationError<Result>(
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Result
) async throws -> Result {
    do { return try await body() } catch let error as IOError {
        if error.isCancelled, Task.isCancelled { throw CancellationError() }
        throw error
    }
}

extension IOError {
    /// Whether a sequence of events (changes, signals, ticks, connections) ends instead of throwing this error: the
    /// task that iterates was cancelled. Sequences of data throw, because an end would look like the end of the file.
    var endsEvents: Bool { code == .cancelled && Task.isCancelled }
}
