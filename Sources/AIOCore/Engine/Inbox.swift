internal import Synchronization

/// Slots on their way from many threads to one, which may sleep.
///
/// One word holds the newest slot, or that there is none, or that there is none *and the reader sleeps*. So a
/// writer learns in the same step as it writes whether it has to wake the reader, and of many writers only the
/// first does: one wake-up a batch, none when the reader is awake.
struct Inbox: ~Copyable {
    private let head: UnsafeMutablePointer<Atomic<UInt32>>
    /// The slot below each slot. Plain memory: a writer fills its own entry before it publishes the slot, and the
    /// reader follows the links only of what it has taken.
    private let links: UnsafeMutablePointer<UInt32>

    private static var empty: UInt32 { .max }
    private static var asleep: UInt32 { .max - 1 }

    init(capacity: Int) {
        links = .allocate(capacity: capacity)
        links.initialize(repeating: Self.empty, count: capacity)
        head = .allocate(capacity: 1)
        head.initialize(to: Atomic(Self.empty))
    }

    deinit {
        links.deallocate()
        head.deallocate()
    }

    /// From any thread. Returns true if the caller must now wake the reader.
    @inline(__always)
    borrowing func put(_ slot: UInt32) -> Bool {
        var old = head.pointee.load(ordering: .relaxed)
        while true {
            links[Int(slot)] = old == Self.asleep ? Self.empty : old
            // Sequentially consistent, as all that takes part in falling asleep is: what the writer did before is
            // seen by the reader, and neither can miss the other.
            let (exchanged, original) = head.pointee.weakCompareExchange(
                expected: old, desired: slot, successOrdering: .sequentiallyConsistent, failureOrdering: .relaxed)
            if exchanged { return old == Self.asleep }
            old = original
        }
    }

    /// From any thread: for news that is not in the inbox. Returns true if the caller must wake the reader.
    borrowing func wakeIsNeeded() -> Bool {
        head.pointee.compareExchange(
            expected: Self.asleep, desired: Self.empty, ordering: .sequentiallyConsistent
        ).exchanged
    }

    /// The reader: false if something is in the inbox; otherwise writers wake it from now on.
    borrowing func fallAsleep() -> Bool {
        head.pointee.compareExchange(
            expected: Self.empty, desired: Self.asleep, ordering: .sequentiallyConsistent
        ).exchanged
    }

    /// The reader: awake again, and takes all there is, oldest first.
    @inline(__always)
    borrowing func take(_ body: (UInt32) -> Void) {
        guard head.pointee.load(ordering: .relaxed) != Self.empty else { return }
        var slot = head.pointee.exchange(Self.empty, ordering: .sequentiallyConsistent)
        guard slot < Self.asleep else { return }
        // The links run from the newest to the oldest: turn them round.
        var newer = Self.empty
        while slot != Self.empty {
            let older = links[Int(slot)]
            links[Int(slot)] = newer
            newer = slot
            slot = older
        }
        slot = newer
        while slot != Self.empty {
            // Read before `body`, after which the slot may be put in again.
            let next = links[Int(slot)]
            body(slot)
            slot = next
        }
    }
}
