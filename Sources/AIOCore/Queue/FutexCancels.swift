internal import Synchronization

/// One word per slot, on which a futex wait that a worker executes also waits: a cancel sets and wakes it. Allocated on
/// first use.
struct FutexCancels: ~Copyable {
    private let capacity: Int
    private var words: UnsafeMutablePointer<Atomic<UInt32>>?

    init(capacity: Int) { self.capacity = capacity }

    deinit { words?.deallocate() }

    /// Returns a futex wait with its cancel word, reset; any other operation unchanged.
    mutating func prepare(_ operation: Operation, _ slot: UInt32) -> Operation {
        guard case .futexWait(var wait) = operation else { return operation }
        assert(slot < capacity, "a slot beyond the capacity")
        let words = words ?? makeWords()
        // Relaxed: the hand-over of the wait to its worker publishes the store.
        words[Int(slot)].store(0, ordering: .relaxed)
        wait.cancelWord = words + Int(slot)
        return .futexWait(wait)
    }

    func cancel(_ slot: UInt32) {
        assert(slot < capacity, "a slot beyond the capacity")
        guard let words else { return }
        // Release: pairs with the acquire in `FutexWait.blockingResult`.
        words[Int(slot)].store(1, ordering: .releasing)
        Kernel.futexWake(words + Int(slot), 1)
    }

    private mutating func makeWords() -> UnsafeMutablePointer<Atomic<UInt32>> {
        let made = UnsafeMutablePointer<Atomic<UInt32>>.allocate(capacity: capacity)
        for index in 0..<capacity { (made + index).initialize(to: Atomic(0)) }
        words = made
        return made
    }
}
