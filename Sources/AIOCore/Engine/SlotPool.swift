internal import Synchronization

/// The free slots, as a lock-free stack that any thread may pop and push.
struct SlotPool: ~Copyable {
    /// Upper half: a count of changes. Lower half: the top slot, or `none`.
    private let head: UnsafeMutablePointer<Atomic<UInt64>>
    private let links: UnsafeMutablePointer<Atomic<UInt32>>

    private static var none: UInt32 { .max }

    init(capacity: Int) {
        links = .allocate(capacity: capacity)
        for index in 0..<capacity {
            (links + index).initialize(to: Atomic(index + 1 < capacity ? UInt32(index + 1) : Self.none))
        }
        head = .allocate(capacity: 1)
        head.initialize(to: Atomic(0))
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
            let next = links[Int(top)].load(ordering: .relaxed)
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
            links[Int(slot)].store(UInt32(truncatingIfNeeded: old), ordering: .relaxed)
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
