/// Admission control for operations on remote files in a ring.
///
/// Each of them may occupy a kernel worker indefinitely. If they occupied all workers, everything else that needs one,
/// such as a buffered write, would block too (head-of-line blocking).
struct RemoteGate: ~Copyable {
    private let limit: Int
    private let capacity: Int
    /// By slot: `queued` waits here, `running` is in the ring. Allocated on first use.
    private var items: UnsafeMutablePointer<WorkItem>?
    private var waiting = WorkList()
    private(set) var insideCount = 0

    init(limit: Int, capacity: Int) {
        self.limit = limit
        self.capacity = capacity
    }

    deinit { items?.deallocate() }

    /// Whether the operation may enter the ring. If not, it is queued until `leave` admits it.
    mutating func enter(_ operation: Operation, _ token: Token) -> Bool {
        let items = items ?? makeItems()
        let slot = Int(token.slot)
        items[slot] = WorkItem(operation, token)
        guard insideCount < limit else {
            items[slot].state = .queued
            waiting.append(slot, items)
            return false
        }
        items[slot].state = .running
        insideCount += 1
        return true
    }

    /// Called for each completed operation. If it was admitted here, returns the next operation to admit.
    mutating func leave(_ token: Token) -> (Operation, Token)? {
        guard let items, items[Int(token.slot)].token == token, items[Int(token.slot)].state == .running else {
            return nil
        }
        items[Int(token.slot)].state = .idle
        guard let next = waiting.popFirst(items) else {
            insideCount -= 1
            return nil
        }
        items[next].state = .running
        return (items[next].operation, items[next].token)
    }

    /// Removes an operation that is still queued.
    mutating func remove(_ token: Token) -> Bool {
        guard let items, items[Int(token.slot)].token == token, items[Int(token.slot)].state == .queued else {
            return false
        }
        waiting.remove(Int(token.slot), items)
        items[Int(token.slot)].state = .idle
        return true
    }

    private mutating func makeItems() -> UnsafeMutablePointer<WorkItem> {
        let made = UnsafeMutablePointer<WorkItem>.allocate(capacity: capacity)
        made.initialize(repeating: WorkItem(), count: capacity)
        items = made
        return made
    }
}
