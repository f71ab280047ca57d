/// Lets so many operations on remote files into the ring at once, and no more.
///
/// Each of them may hold one of the kernel's workers for as long as somebody else pleases. Were they to hold all, what
/// else needs one, a buffered write say, would wait for ever too.
struct RemoteGate: ~Copyable {
    private let limit: Int
    private let capacity: Int
    /// By slot: `queued` waits here, `running` is in the ring. Made when first needed.
    private var items: UnsafeMutablePointer<WorkItem>?
    private var waiting = WorkList()
    private(set) var insideCount = 0

    init(limit: Int, capacity: Int) {
        self.limit = limit
        self.capacity = capacity
    }

    deinit { items?.deallocate() }

    /// Whether the operation may go into the ring. If not it waits for its turn, which `leave` of another gives it.
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

    /// An operation has completed. If it was one of these, the next one may go into the ring.
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

    /// Takes back an operation that still waits.
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
