/// The two ways out of the engine `threads`, which its services share: an operation completes, or a worker executes it.
struct Outlets: ~Copyable {
    let pool: WorkerPool
    /// Completions that can be drained.
    var completed: FixedQueue<Completion>
    /// Work items for the next `flush`: one lock and one wake-up for the whole batch.
    var outgoing: FixedQueue<WorkItem>

    init(_ pool: WorkerPool, capacity: Int) {
        self.pool = pool
        completed = FixedQueue(capacity: capacity)
        outgoing = FixedQueue(capacity: capacity)
    }

    mutating func complete(_ token: Token, _ result: Int) {
        completed.append(Completion(token, result: Int32(truncatingIfNeeded: result)))
    }

    /// Has a worker execute the operation, from the next `flush` on.
    mutating func sendToWorker(_ operation: Operation, _ token: Token) { outgoing.append(WorkItem(operation, token)) }

    mutating func flush() { pool.add(&outgoing) }
}
