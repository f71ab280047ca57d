internal import CKernel
internal import Synchronization

/// Several system calls that make one operation: handed over once, and carried out by a worker in one go.
///
/// For what would cost a hand-over a call otherwise, as opening, reading and closing a small file does. Whoever makes
/// one keeps it until the operation's completion is drained.
open class BlockingWork: @unchecked Sendable {
    // @unchecked: before the operation is staged, and after its completion is drained, it is its maker's; in between
    // the worker's alone. `requestEnd` is made for any thread.

    private let endRequest = Atomic<Bool>(false)
    private let isDone = Atomic<Bool>(false)
    private let deadline: Nanoseconds
    /// Whether it gives something up, and so is carried out whatever is asked for (`Operation.isRelease`).
    public let isRelease: Bool

    public init(deadline: Nanoseconds, isRelease: Bool = false) {
        self.deadline = isRelease ? .never : deadline
        self.isRelease = isRelease
    }

    /// On a worker's thread. Returns a value from 0 to `Int32.max`, or a negative errno. It may block as long as a
    /// device does, but not for ever, and stops with ECANCELED between two calls when `shouldEnd`.
    open func run() -> Int { 0 }

    /// On a worker's thread. What is to end by then is not begun.
    final func carryOut() -> Int {
        defer { isDone.store(true, ordering: .releasing) }
        return shouldEnd ? -Int(ECANCELED) : run()
    }

    /// On the caller's thread, for what no loop takes any more.
    public final func carryOutHere() -> Int { run() }

    /// Once the completion is drained: from here on what the worker wrote is its maker's. The completion's way says so
    /// too; but part of it runs through Swift's runtime, where the sanitizer does not see it.
    public final func takeBack() { _ = isDone.load(ordering: .acquiring) }

    /// Asks for an early end. A cancel of the operation does so too, and ends at once what no worker has begun.
    public final func requestEnd() {
        if !isRelease { endRequest.store(true, ordering: .relaxed) }
    }

    public final var isDeadlinePassed: Bool { deadline != .never && Kernel.now() >= deadline }

    public final var shouldEnd: Bool { endRequest.load(ordering: .relaxed) || isDeadlinePassed }
}
