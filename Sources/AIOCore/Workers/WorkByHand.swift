/// Workers without threads: whoever drives the queue executes each item, on its own thread and when it wants. For
/// simulations.
package final class WorkByHand {
    let pool: HandDrivenPool
    let waker = Waker()

    /// `queued` is called with each item that is to be executed, by `execute`. `wait` is called where the engine would
    /// wait until a time: it lets something happen, and returns false if nothing did. Without it the engine's `enter`
    /// returns early.
    package init(
        _ configuration: EngineConfiguration, queued: @escaping (Token) -> Void,
        wait: @escaping (Nanoseconds) -> Bool = { _ in false }
    ) {
        pool = HandDrivenPool(configuration, waker, queued, wait)
    }

    package enum Outcome: BitwiseCopyable, Sendable {
        case finished
        /// The operation would have blocked its worker (`KernelStandIn.wouldBlock`), and is queued again.
        case blocked
        /// The operation was cancelled before.
        case gone
    }

    /// Executes a queued item.
    package func execute(_ token: Token) -> Outcome { pool.execute(token) }
}

final class HandDrivenPool: WorkerPool, @unchecked Sendable {
    // @unchecked: as `WorkerPool`; `queued` is called by the only thread that uses the queue.

    private let queued: (Token) -> Void
    let wait: (Nanoseconds) -> Bool

    init(
        _ configuration: EngineConfiguration, _ waker: Waker, _ queued: @escaping (Token) -> Void,
        _ wait: @escaping (Nanoseconds) -> Bool
    ) {
        self.queued = queued
        self.wait = wait
        super.init(capacity: configuration.placeCount, limit: configuration.workerLimit, waker)
    }

    override func startFirst() {}
    override func callWorkers() {}

    override func add(_ batch: inout FixedQueue<WorkItem>) {
        while let item = batch.popFirst() {
            add(item)
            queued(item.token)
        }
    }

    func execute(_ token: Token) -> WorkByHand.Outcome {
        let item = items[Int(token.slot)]
        guard item.token == token, item.state == .queued, remove(token) else { return .gone }
        let result = item.operation.blockingResult()
        guard result != KernelStandIn.wouldBlock else {
            add(WorkItem(item.operation, token))
            return .blocked
        }
        finish(Int(token.slot), result)
        return .finished
    }
}
