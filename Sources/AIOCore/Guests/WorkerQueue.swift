internal import CKernel

/// Workers that accept quick work (see `WorkerPool`) from any thread, and deliver completions to the client themselves.
/// Without a loop in between, an operation takes two context switches fewer.
public final class WorkerQueue<Client: LoopClient>: @unchecked Sendable {
    // @unchecked: `contexts` is written by the thread that acquired the slot, before the pool gets the item, and read
    // by the worker.

    private let pool: DeliveringPool<Client>

    /// For up to `capacity` operations at a time, on up to `limit` threads, which start on demand.
    public init(capacity: Int, limit: Int, _ client: Client) {
        pool = DeliveringPool(capacity: capacity, limit: limit, client)
    }

    /// Accepts a buffered write of a file that is held by its number; false at the limit, and for any other operation:
    /// the pool completes reads in batches that bypass `finish`.
    public func carry(_ operation: Operation, context: UInt) -> Bool {
        operation.isBufferedWrite && pool.carry(operation, context)
    }
}

private final class DeliveringPool<Client: LoopClient>: WorkerPool, @unchecked Sendable {
    // @unchecked: see `WorkerQueue`.

    private let places: SlotPool
    private let contexts: UnsafeMutablePointer<UInt>
    private let client: Client
    /// Under the lock: the threads that execute items for want of a worker; 0 for none.
    private let helpers: UnsafeMutableBufferPointer<UInt>

    private static var helpersMax: Int { 8 }

    init(capacity: Int, limit: Int, _ client: Client) {
        places = SlotPool(capacity: capacity)
        contexts = .allocate(capacity: capacity)
        contexts.initialize(repeating: 0, count: capacity)
        helpers = .allocate(capacity: Self.helpersMax)
        helpers.initialize(repeating: 0)
        self.client = client
        super.init(capacity: capacity, limit: limit, nil)
    }

    deinit {
        contexts.deallocate()
        helpers.deallocate()
    }

    func carry(_ operation: Operation, _ context: UInt) -> Bool {
        guard let place = places.pop() else { return false }
        contexts[Int(place)] = context
        add(WorkItem(operation, Token(slot: place, generation: 0)))
        if isShortOfThreads { executeItems() }
        return true
    }

    /// Without any worker, the caller executes items until there are none, and waits for them as in write(2).
    ///
    /// A completion that is delivered here may add the next item. The same thread then returns at once and executes it
    /// afterwards: recursion could exhaust its stack, since a lane of appends may be long.
    private func executeItems() {
        guard let place = beginHelping() else { return }
        repeat { while help(includingRemote: true) {} } while !endHelping(place)
    }

    private func beginHelping() -> Int? {
        let thread = Kernel.currentThread()
        lock.lock()
        defer { lock.unlock() }
        guard !helpers.contains(thread), let place = helpers.firstIndex(of: 0) else { return nil }
        helpers[place] = thread
        return place
    }

    /// False if items are left. Another thread may have added them and found no free place among the helpers; it relies
    /// on this one.
    private func endHelping(_ place: Int) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        guard state.pointee.threadCount > 0 || !hasWork else { return false }
        helpers[place] = 0
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
