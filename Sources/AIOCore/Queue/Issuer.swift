/// The thread that submits a queue's operations. When that thread exits, the kernel drops its unfinished ring
/// operations; one that comes back cancelled after a change is therefore staged again.
struct Issuer: ~Copyable {
    /// Whether the thread never changes, so that nobody needs to ask for it.
    private let isFixed: Bool
    private var thread: UInt64 = 0
    /// How often the thread changed. An operation notes it when it is staged. Wraps.
    private(set) var changes: UInt32 = 0

    init(isFixed: Bool) { self.isFixed = isFixed }

    /// Called before each submission.
    @inline(__always)
    mutating func noteThread() {
        guard !isFixed else { return }
        let current = Kernel.threadNumber()
        guard current != thread else { return }
        thread = current
        changes &+= 1
    }

    /// What was staged may come back cancelled although its thread lives: the ring is lost, or the loop is on another
    /// thread.
    mutating func noteLoss() { changes &+= 1 }
}
