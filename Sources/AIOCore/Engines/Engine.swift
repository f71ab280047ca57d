package import CKernel

/// A backend that executes operations.
///
/// One thread at a time drives an engine; only `wake` may be called from any thread. Engines consume and produce plain
/// values. `EngineQueue` interprets results; an engine retries only after readiness that it polled for itself, and
/// hands blocking work to a worker. An engine accepts at most the number of operations that it was created for.
/// `EngineQueue` enforces that limit, so staging always finds room.
package protocol Engine: ~Copyable {
    /// A descriptor that poll(2) reports as readable while there is something to drain, once `exportDescriptor` was
    /// called.
    var descriptor: Int32 { get }

    /// Accepts one operation. It may be executed immediately if that cannot block.
    mutating func stage(_ operation: Operation, _ token: Token)

    /// Accepts one operation for a worker: the queue does not want the engine's own way of executing it.
    mutating func stageWithWorker(_ operation: Operation, _ token: Token)

    /// Requests cancellation of a staged operation. Its completion tells the outcome.
    mutating func requestCancel(_ token: Token)

    /// Submits everything staged, then waits until `count` completions can be drained, `wake` is called, or the
    /// deadline passes. With `count` 0 it does not wait. May return early (spurious wake-ups).
    mutating func enter(atLeast count: Int, until deadline: Nanoseconds)

    /// Moves completions out, oldest first, as many as fit.
    mutating func drain(into completions: UnsafeMutableBufferPointer<Completion>) -> Int

    /// Makes the current `enter` return, or the next one unless a drain comes first. May be called from any thread.
    func wake()

    /// Keeps `descriptor` readable from now on while there is something to drain.
    mutating func exportDescriptor()

    /// Registers files, for `Descriptor.registered`. Returns 0 or a negative errno.
    mutating func register(files: UnsafeBufferPointer<Int32>) -> Int
    mutating func unregisterFiles() -> Int

    /// Registers memory, for `Transfer.bufferIndex`. Returns 0 or a negative errno.
    mutating func register(buffers: UnsafeBufferPointer<iovec>) -> Int
    mutating func unregisterBuffers() -> Int

    /// For a guest: takes holds on files for operations that are yet to be staged; nil if the engine does not support
    /// it.
    var holds: FileHolds? { get }

    // MARK: For an engine that the kernel may cut off

    /// The errno with which the engine lost its ring; 0 while it has not.
    var lostErrno: Int32 { get }

    /// Whether completions arrive only after the submitting thread has exited.
    var needsNewThread: Bool { get }

    /// Whether an operation is in a lost ring. After `giveUp`, a late completion from there is ignored.
    func isLost(_ token: Token) -> Bool
    mutating func giveUp(_ token: Token)
}

/// Most engines have no ring to lose.
extension Engine where Self: ~Copyable {
    package mutating func stageWithWorker(_ operation: Operation, _ token: Token) { stage(operation, token) }
    package var holds: FileHolds? { nil }
    package var lostErrno: Int32 { 0 }
    package var needsNewThread: Bool { false }
    package func isLost(_ token: Token) -> Bool { false }
    package mutating func giveUp(_ token: Token) {}
}
