internal import Synchronization

/// A word for each operation of a queue that may be a wait for a futex, for its cancel to wake. Made when first needed.
struct FutexCancels: ~Copyable {
    private let capacity: Int
    private var words: UnsafeMutablePointer<Atomic<UInt32>>?

    init(capacity: Int) { self.capacity = capacity }

    deinit { words?.deallocate() }

    /// The wait with its word, which says that nobody asked for an end.
    mutating func prepare(_ wait: FutexWait, _ slot: UInt32) -> FutexWait {
        let words = words ?? makeWords()
        // Relaxed: the wait's way to its worker publishes it.
        words[Int(slot)].store(0, ordering: .relaxed)
        var wait = wait
        wait.cancelWord = words + Int(slot)
        return wait
    }

    func cancel(_ slot: UInt32) {
        guard let words else { return }
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
