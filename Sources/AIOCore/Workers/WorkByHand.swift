internal import CKernel

/// Workers without threads: whoever drives the queue executes each item, on its own thread and when it wants. For
/// simulations.
package final class WorkByHand {
    let pool: HandDrivenPool
    let waker = Waker()

    /// `queued` is called with each item that is to be executed, by `execute`; `cancelled` with one that was cancelled
    /// before it finished. `wait` is called where the engine would wait until a time: it lets something happen, and
    /// returns false if nothing did. Without it the engine's `enter` returns early. Throws if the configuration is out
    /// of range.
    package init(
        _ configuration: EngineConfiguration, queued: @escaping (Token) -> Void,
        cancelled: @escaping (Token) -> Void = { _ in }, wait: @escaping (Nanoseconds) -> Bool = { _ in false }
    ) throws(EngineFailure) {
        guard configuration.isInRange else {
            throw EngineFailure(engine: .threads, step: .configuration, errno: EINVAL)
        }
        pool = HandDrivenPool(configuration, waker, queued, cancelled, wait)
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

    /// The work of several calls that an item carries out; nil for an operation of one call.
    package func work(of token: Token) -> BlockingWork? { pool.work(of: token) }
}

final class HandDrivenPool: WorkerPool, @unchecked Sendable {
    // @unchecked: as `WorkerPool`; `queued` and `cancelled` are called by the only thread that uses the queue.

    private let queued: (Token) -> Void
    private let cancelled: (Token) -> Void
    let wait: (Nanoseconds) -> Bool

    init(
        _ configuration: EngineConfiguration, _ waker: Waker, _ queued: @escaping (Token) -> Void,
        _ cancelled: @escaping (Token) -> Void, _ wait: @escaping (Nanoseconds) -> Bool
    ) {
        self.queued = queued
        self.cancelled = cancelled
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

    override func remove(_ token: Token) -> Bool {
        guard super.remove(token) else { return false }
        cancelled(token)
        return true
    }

    func work(of token: Token) -> BlockingWork? {
        let item = items[Int(token.slot)]
        // Alive while it is queued: its creator keeps it until the completion is drained.
        guard item.token == token, item.state == .queued, case .work(let work) = item.operation else { return nil }
        return work.takeUnretainedValue()
    }

    func execute(_ token: Token) -> WorkByHand.Outcome {
        let item = items[Int(token.slot)]
        guard item.token == token, item.state == .queued, super.remove(token) else { return .gone }
        let result = item.operation.blockingResult()
        guard result != KernelStandIn.wouldBlock else {
            add(WorkItem(item.operation, token))
            return .blocked
        }
        finish(Int(token.slot), result)
        return .finished
    }
}
