internal import Synchronization

/// The free slots of a range, as a lock-free stack for any thread; or, without locked instructions, for one thread at
/// a time.
struct SlotPool: ~Copyable {
    /// Whether several threads use the pool at once.
    private let isShared: Bool
    /// The first slot of the range: `links` is indexed relative to it.
    private let first: UInt32
    private let capacity: Int
    /// Upper half: a change count, against ABA. Lower half: the top slot, or `none`.
    private let head: UnsafeMutablePointer<Atomic<UInt64>>
    private let links: UnsafeMutablePointer<Atomic<UInt32>>

    private static var none: UInt32 { .max }

    init(capacity: Int, first: Int = 0, isShared: Bool = true) {
        self.isShared = isShared
        self.first = UInt32(first)
        self.capacity = capacity
        links = .allocate(capacity: capacity)
        for index in 0..<capacity {
            (links + index).initialize(to: Atomic(index + 1 < capacity ? UInt32(first + index + 1) : Self.none))
        }
        head = .allocate(capacity: 1)
        head.initialize(to: Atomic(UInt64(capacity > 0 ? UInt32(first) : Self.none)))
    }

    deinit {
        links.deallocate()
        head.deallocate()
    }

    @inline(__always)
    borrowing func pop() -> UInt32? {
        // Acquire: pairs with the release in `push`, so that the previous owner's writes to the slot are visible.
        var old = head.pointee.load(ordering: .acquiring)
        while true {
            let top = UInt32(truncatingIfNeeded: old)
            guard top != Self.none else { return nil }
            assert(contains(top), "the links lead out of the pool")
            // Stale if another thread popped `top` meanwhile. The exchange then fails even if `top` is back on top
            // (ABA), because the change count differs.
            let next = links[Int(top - first)].load(ordering: .relaxed)
            let new = Self.head(next, after: old)
            guard isShared else {
                // Relaxed, here and in `push`: whatever hands the pool to another thread orders its accesses.
                head.pointee.store(new, ordering: .relaxed)
                return top
            }
            let (exchanged, original) = head.pointee.weakCompareExchange(
                expected: old, desired: new, successOrdering: .acquiring, failureOrdering: .acquiring)
            if exchanged { return top }
            old = original
        }
    }

    @inline(__always)
    borrowing func push(_ slot: UInt32) {
        assert(contains(slot), "the slot is another pool's")
        // Relaxed: the exchange below checks it.
        var old = head.pointee.load(ordering: .relaxed)
        while true {
            links[Int(slot - first)].store(UInt32(truncatingIfNeeded: old), ordering: .relaxed)
            guard isShared else { return head.pointee.store(Self.head(slot, after: old), ordering: .relaxed) }
            // Release: the slot's content and link are written before a pop can see it.
            let (exchanged, original) = head.pointee.weakCompareExchange(
                expected: old, desired: Self.head(slot, after: old),
                successOrdering: .releasing, failureOrdering: .relaxed)
            assert(!exchanged || UInt32(truncatingIfNeeded: old) != slot, "the slot is free already")
            if exchanged { return }
            old = original
        }
    }

    private func contains(_ slot: UInt32) -> Bool { slot >= first && Int(slot - first) < capacity }

    private static func head(_ slot: UInt32, after old: UInt64) -> UInt64 {
        (old >> 32 &+ 1) << 32 | UInt64(slot)
    }
}
