internal import CKernel

/// Workers that take quick work (see `WorkerPool`) from any thread, and hand its completions to the client themselves:
/// no loop lies between, which would cost two more changes of thread.
public final class WorkerQueue<Client: LoopClient>: @unchecked Sendable {
    // @unchecked: `contexts` is written by whoever acquired the place, before the pool gets it, and read by the worker.

    private let pool: DeliveringPool<Client>

    public init(capacity: Int, limit: Int, _ client: Client) {
        pool = DeliveringPool(capacity: capacity, limit: limit, client)
    }

    /// Accepts a buffered read or write of a file that is held by its number. False at the limit.
    public func carry(_ operation: Operation, context: UInt) -> Bool { pool.carry(operation, context) }
}

private final class DeliveringPool<Client: LoopClient>: WorkerPool, @unchecked Sendable {
    // @unchecked: as above.

    private let places: SlotPool
    private let contexts: UnsafeMutablePointer<UInt>
    private let client: Client

    init(capacity: Int, limit: Int, _ client: Client) {
        places = SlotPool(capacity: capacity)
        contexts = .allocate(capacity: capacity)
        contexts.initialize(repeating: 0, count: capacity)
        self.client = client
        super.init(capacity: capacity, limit: limit, nil)
    }

    deinit { contexts.deallocate() }

    func carry(_ operation: Operation, _ context: UInt) -> Bool {
        guard let place = places.pop() else { return false }
        contexts[Int(place)] = context
        add(WorkItem(operation, Token(slot: place, generation: 0)))
        // Without a thread it is the caller who carries out what he gave, or what came before it.
        if isShortOfThreads { help() }
        return true
    }

    /// On the worker's thread.
    override func finish(_ slot: Int, _ result: Int) {
        let completion = Completion(
            Token(slot: UInt32(slot), generation: 0), result: Int32(truncatingIfNeeded: result), flags: .usedWorker)
        var delivery = Delivery(completion: completion, context: contexts[slot])
        // Free before the client hears of it, who may carry the next one at once.
        places.push(UInt32(slot))
        withUnsafePointer(to: &delivery) { client.deliver(UnsafeBufferPointer(start: $0, count: 1)) }
    }
}
