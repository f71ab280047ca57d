internal import Synchronization

/// Slots on their way from many threads to one, which may sleep: a lock-free list with a wake-up protocol.
///
/// One word holds the newest slot, or that the list is empty, or that it is empty *and the reader sleeps*. A writer
/// learns with the same atomic operation whether it must wake the reader, and only the first writer does: one wake-up
/// per batch (no thundering herd), none while the reader is awake.
struct Inbox: ~Copyable {
    private let head: UnsafeMutablePointer<Atomic<UInt32>>
    /// By slot, the next older one. Plain memory: a writer fills its own entry before it publishes the slot, and the
    /// reader follows only links of what it has taken.
    private let links: UnsafeMutablePointer<UInt32>

    private let capacity: Int

    private static var empty: UInt32 { .max }
    private static var asleep: UInt32 { .max - 1 }

    init(capacity: Int) {
        self.capacity = capacity
        links = .allocate(capacity: capacity)
        links.initialize(repeating: Self.empty, count: capacity)
        head = .allocate(capacity: 1)
        head.initialize(to: Atomic(Self.empty))
    }

    deinit {
        links.deallocate()
        head.deallocate()
    }

    /// Adds a slot; from any thread. Returns true if the caller must now wake the reader.
    @inline(__always)
    borrowing func put(_ slot: UInt32) -> Bool {
        assert(slot < capacity, "a slot beyond the capacity")
        // Relaxed: the exchange below checks it.
        var old = head.pointee.load(ordering: .relaxed)
        while true {
            links[Int(slot)] = old == Self.asleep ? Self.empty : old
            // Sequentially consistent, as everything that takes part in falling asleep, against a lost wake-up. It also
            // publishes the writer's earlier writes to the reader.
            let (exchanged, original) = head.pointee.weakCompareExchange(
                expected: old, desired: slot, successOrdering: .sequentiallyConsistent, failureOrdering: .relaxed)
            assert(!exchanged || old != slot, "the slot is in the inbox already")
            if exchanged { return old == Self.asleep }
            old = original
        }
    }

    /// For the reader: whether there is nothing to take. Relaxed, as in `take`.
    var isEmpty: Bool { head.pointee.load(ordering: .relaxed) >= Self.asleep }

    /// For news outside of the inbox; from any thread. Returns true if the caller must wake the reader.
    borrowing func wakeIsNeeded() -> Bool {
        head.pointee.compareExchange(
            expected: Self.asleep, desired: Self.empty, ordering: .sequentiallyConsistent
        ).exchanged
    }

    /// For the reader: false if the inbox is not empty; otherwise writers wake it from now on.
    borrowing func fallAsleep() -> Bool {
        head.pointee.compareExchange(
            expected: Self.empty, desired: Self.asleep, ordering: .sequentiallyConsistent
        ).exchanged
    }

    /// For the reader, awake again: takes all slots, oldest first.
    @inline(__always)
    borrowing func take(_ body: (UInt32) -> Void) {
        // Relaxed: a slot that this load misses keeps `fallAsleep` from succeeding; the exchange below acquires.
        guard head.pointee.load(ordering: .relaxed) != Self.empty else { return }
        var slot = head.pointee.exchange(Self.empty, ordering: .sequentiallyConsistent)
        guard slot < Self.asleep else { return }
        // The links run from the newest to the oldest: reverse them.
        var newer = Self.empty
        while slot != Self.empty {
            assert(slot < capacity, "the links lead out of the inbox")
            let older = links[Int(slot)]
            links[Int(slot)] = newer
            newer = slot
            slot = older
        }
        slot = newer
        while slot != Self.empty {
            // Read before `body`, after which the slot may be added again.
            let next = links[Int(slot)]
            body(slot)
            slot = next
        }
    }
}
