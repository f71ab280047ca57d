internal import CKernel
internal import Synchronization

extension BlockingWork {
    /// On a worker's thread. What is to end by then is not begun.
    func carryOut() -> Int {
        defer { isDone.store(true, ordering: .releasing) }
        return shouldEnd ? -Int(ECANCELED) : run()
    }

    public var isDeadlinePassed: Bool { deadline != .never && Kernel.now() >= deadline }

    public var shouldEnd: Bool { endRequest.load(ordering: .relaxed) || isDeadlinePassed }
}
