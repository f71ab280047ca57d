import Synchronization

/// What was last written to each block in a mix of reads and writes, so that a lost write is found by the next
/// read of its block; and which blocks are in flight, since a read beside a write may find either content.
final class BlockGenerations: @unchecked Sendable {
    // @unchecked: the memory behind the pointer is atomic.

    /// A block's generation times two, plus one while it is in flight.
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

    /// Takes the block for one operation. Returns the generation that a read will find or a write must leave; nil
    /// if the block is in flight.
    func acquire(_ block: Int, forWriting: Bool) -> UInt32? {
        let state = states[block].load(ordering: .relaxed)
        guard state & 1 == 0 else { return nil }
        // Acquiring pairs with the releasing store below: the last operation on the block is over.
        let taken = states[block].compareExchange(
            expected: state, desired: state | 1, successOrdering: .acquiring, failureOrdering: .relaxed
        ).exchanged
        guard taken else { return nil }
        return forWriting ? (state >> 1 &+ 1) & 0x7FFF_FFFF : state >> 1
    }

    /// Gives the block back, in the generation that its operation found or left.
    func release(_ block: Int, generation: UInt32) {
        states[block].store(generation << 1, ordering: .releasing)
    }
}
