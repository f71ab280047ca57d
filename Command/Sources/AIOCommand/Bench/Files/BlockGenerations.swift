import Synchronization

/// The generation of each block in a mix of reads and writes, so that the next read of a block finds a lost write. Also
/// tracks which blocks are in flight: a read that overlaps a write may return either content.
final class BlockGenerations: @unchecked Sendable {
    // @unchecked: the memory behind the pointer is atomic.

    /// A block's generation times two, plus one while the block is in flight.
    private let states: UnsafeMutablePointer<Atomic<UInt32>>
    private let blockCount: Int

    init(blockCount: Int) {
        self.blockCount = blockCount
        states = .allocate(capacity: blockCount)
        for block in 0..<blockCount { (states + block).initialize(to: Atomic(0)) }
    }

    deinit {
        states.deinitialize(count: blockCount)
        states.deallocate()
    }

    /// Acquires the block for one operation. Returns the generation that a read must find or that a write must leave;
    /// nil if the block is in flight.
    func acquire(_ block: Int, forWriting: Bool) -> UInt32? {
        let state = states[block].load(ordering: .relaxed)
        guard state & 1 == 0 else { return nil }
        // Acquiring: pairs with the releasing store in `release`, so that the previous operation on the block is over.
        // The load above and a failed exchange can be relaxed: they lead to no access.
        let taken = states[block].compareExchange(
            expected: state, desired: state | 1, successOrdering: .acquiring, failureOrdering: .relaxed
        ).exchanged
        guard taken else { return nil }
        return forWriting ? (state >> 1 &+ 1) & 0x7FFF_FFFF : state >> 1
    }

    /// Releases the block, with the generation that its operation found or left. Releasing: pairs with `acquire`.
    func release(_ block: Int, generation: UInt32) {
        states[block].store(generation << 1, ordering: .releasing)
    }
}
