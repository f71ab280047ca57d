internal import CKernel
internal import Synchronization

extension BlockingWork {
    /// Executes the work on a worker's thread, unless it should end already.
    func carryOut() -> Int {
        // Release: pairs with the acquire in `takeBack`.
        defer { isDone.store(true, ordering: .releasing) }
        return shouldEnd ? -Int(ECANCELED) : run()
    }

    /// Whether the work's deadline has passed.
    public var isDeadlinePassed: Bool { deadline != .never && Kernel.now() >= deadline }

    /// Whether the work should stop: its deadline has passed, or an end was requested. Relaxed: the flag orders
    /// nothing.
    public var shouldEnd: Bool { endRequest.load(ordering: .relaxed) || isDeadlinePassed }
}
