internal import Synchronization

/// Several system calls that form one operation, executed by a worker in one go.
///
/// One hand-over replaces one per call, for example for opening, reading and closing a small file. The creator keeps
/// the object alive until the operation's completion is drained: ``Operation/work(_:)`` does not retain it.
open class BlockingWork: @unchecked Sendable {
    // @unchecked: the creator owns the object before the operation is staged and after its completion is drained; in
    // between the worker alone accesses it. `requestEnd` may be called from any thread.

    let endRequest = Atomic<Bool>(false)
    let isDone = Atomic<Bool>(false)
    let deadline: Nanoseconds
    /// Whether the work releases a resource. A release is always executed: cancels and deadlines do not apply to it
    /// (``Operation/isRelease``).
    public let isRelease: Bool

    /// Work that ends early at `deadline`, unless it is a release.
    public init(deadline: Nanoseconds, isRelease: Bool = false) {
        self.deadline = isRelease ? .never : deadline
        self.isRelease = isRelease
    }

    /// Executes the work on a worker's thread; subclasses override it.
    ///
    /// Returns a value from 0 to `Int32.max`, or a negative errno. It may block as long as a device takes, but not
    /// indefinitely. Between two system calls it checks `shouldEnd`, and then returns -ECANCELED.
    open func run() -> Int { 0 }

    /// Executes the work on the calling thread, when no loop accepts operations any more.
    public final func carryOutHere() -> Int { run() }

    /// Called once the completion is drained: makes the worker's writes visible to the caller. The completion's path
    /// orders them already, but part of it runs through Swift's runtime, where ThreadSanitizer does not see that.
    /// Acquire: pairs with the release in `carryOut`.
    public final func takeBack() { _ = isDone.load(ordering: .acquiring) }

    /// Requests an early end; a no-op for a release. A cancel of the operation does the same, and completes work that
    /// no worker has begun at once.
    public final func requestEnd() {
        // Relaxed: the flag orders nothing.
        if !isRelease { endRequest.store(true, ordering: .relaxed) }
    }
}
