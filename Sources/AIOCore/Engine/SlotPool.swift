internal import Synchronization

/// The free slots of a range, as a lock-free stack that any thread may pop and push.
struct SlotPool: ~Copyable {
    /// The first slot: the links are of those from it on.
    private let first: UInt32
    /// Upper half: a count of changes. Lower half: the top slot, or `none`.
    private let head: UnsafeMutablePointer<Atomic<UInt64>>
    private let links: UnsafeMutablePointer<Atomic<UInt32>>

    private static var none: UInt32 { .max }

    init(capacity: Int, first: Int = 0) {
        self.first = UInt32(first)
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

    borrowing func pop() -> UInt32? {
        // Acquire: whoever pushed the slot is done with it, and what it wrote there is seen.
        var old = head.pointee.load(ordering: .acquiring)
        while true {
            let top = UInt32(truncatingIfNeeded: old)
            guard top != Self.none else { return nil }
            // May be out of date if another thread popped `top` meanwhile; then the exchange fails, because the
            // count of changes moved on even if `top` is back on top.
            let next = links[Int(top - first)].load(ordering: .relaxed)
            let new = Self.head(next, after: old)
            let (exchanged, original) = head.pointee.weakCompareExchange(
                expected: old, desired: new, successOrdering: .acquiring, failureOrdering: .acquiring)
            if exchanged { return top }
            old = original
        }
    }

    borrowing func push(_ slot: UInt32) {
        var old = head.pointee.load(ordering: .relaxed)
        while true {
            links[Int(slot - first)].store(UInt32(truncatingIfNeeded: old), ordering: .relaxed)
            // Release: the slot's content and its link are written before a pop can see it.
            let (exchanged, original) = head.pointee.weakCompareExchange(
                expected: old, desired: Self.head(slot, after: old),
                successOrdering: .releasing, failureOrdering: .relaxed)
            if exchanged { return }
            old = original
        }
    }

    private static func head(_ slot: UInt32, after old: UInt64) -> UInt64 {
        (old >> 32 &+ 1) << 32 | UInt64(slot)
    }
}
