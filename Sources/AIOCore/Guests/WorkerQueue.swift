internal import CKernel

/// Workers that accept quick work (see `WorkerPool`) from any thread, and deliver completions to the client themselves.
/// Without a loop in between, an operation takes two context switches fewer.
public final class WorkerQueue<Client: LoopClient>: @unchecked Sendable {
    // @unchecked: `contexts` is written by the thread that acquired the slot, before the pool gets the item, and read
    // by the worker.

    private let pool: DeliveringPool<Client>

    public init(capacity: Int, limit: Int, _ client: Client) {
        pool = DeliveringPool(capacity: capacity, limit: limit, client)
    }

    /// Accepts a buffered write of a file that is held by its number; false at the limit. Reads are not supported: the
    /// pool completes them in batches that bypass `finish`.
    public func carry(_ operation: Operation, context: UInt) -> Bool { pool.carry(operation, context) }
}

private final class DeliveringPool<Client: LoopClient>: WorkerPool, @unchecked Sendable {
    // @unchecked: see `WorkerQueue`.

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
        // Without any thread, the caller executes its own item, or an earlier one, and waits for it as in write(2).
        if isShortOfThreads { help(includingRemote: true) }
        return true
    }

    /// Runs on the worker's thread.
    override func finish(_ slot: Int, _ result: Int) {
        let completion = Completion(
            Token(slot: UInt32(slot), generation: 0), result: Int32(truncatingIfNeeded: result), flags: .usedWorker)
        var delivery = Delivery(completion: completion, context: contexts[slot])
        // Freed first: the client may submit the next operation from within `deliver`.
        places.push(UInt32(slot))
        withUnsafePointer(to: &delivery) { client.deliver(UnsafeBufferPointer(start: $0, count: 1)) }
    }
}
