import Synchronization

/// The blocks that a turn visits.
struct WorkloadShape: Sendable {
    enum Order: String, Sendable { case random, sequential }

    /// Bytes of one operation.
    var blockSize: Int
    /// Bytes from one block to the next. In random order at least a page: a block whose page holds another block would
    /// no longer be cold after that one is read.
    var stride: Int
    var blockCount: Int
    var order: Order
    var writePercent: Int

    init(fileSize: Int, blockSize: Int, order: Order, writePercent: Int) {
        self.blockSize = blockSize
        self.order = order
        self.writePercent = writePercent
        stride = order == .random ? max(blockSize, Pattern.pageSize) : blockSize
        blockCount = (fileSize - blockSize) / stride + 1
    }
}

/// The operations of one turn, in an order that is the same for all contestants of a round.
final class Workload: Sendable {
    private let shape: WorkloadShape
    private let permutation: Permutation
    /// Whether blocks may be visited again after all of them were visited.
    private let repeats: Bool
    private let generations: BlockGenerations?
    private let seed: UInt64
    /// The next position in the order. Relaxed: only its own value matters.
    private let position = Atomic<Int>(0)

    init(_ shape: WorkloadShape, round: Int, repeats: Bool, generations: BlockGenerations?) {
        self.shape = shape
        self.repeats = repeats
        self.generations = generations
        seed = mixed(UInt64(round))
        permutation = Permutation(count: shape.blockCount, seed: seed)
    }

    /// The next operation; nil when every block was visited and `repeats` is false.
    func next() -> BlockOperation? {
        // In a mix, a block can still be in flight from the previous pass. At most all blocks are.
        for _ in 0...shape.blockCount {
            let position = position.wrappingAdd(1, ordering: .relaxed).oldValue
            if position >= shape.blockCount, !repeats { return nil }
            let index = position % shape.blockCount
            let block = shape.order == .random ? permutation[index] : index
            let isWrite = shape.writePercent > 0 && mixed(seed ^ UInt64(position)) % 100 < UInt64(shape.writePercent)
            var generation: UInt32 = 0
            if let generations {
                guard let found = generations.acquire(block, forWriting: isWrite) else { continue }
                generation = found
            }
            return BlockOperation(
                block: block, offset: block * shape.stride, count: shape.blockSize, isWrite: isWrite,
                generation: generation)
        }
        return nil
    }

    /// Marks `operation` as complete and releases its block.
    func finish(_ operation: BlockOperation) {
        generations?.release(operation.block, generation: operation.generation)
    }
}

/// A pseudorandom permutation of 0..<count that needs no memory.
struct Permutation: Sendable {
    private let count: UInt64
    private let mask: UInt64
    private let shift: UInt64
    private let seed: UInt64

    init(count: Int, seed: UInt64) {
        self.count = UInt64(count)
        self.seed = seed
        let bits = max(2, UInt64.bitWidth - (UInt64(count) - 1).leadingZeroBitCount)
        mask = UInt64.max >> (64 - UInt64(bits))
        shift = UInt64(bits + 1) / 2
    }

    subscript(index: Int) -> Int {
        var value = UInt64(index)
        // Each step is a bijection of the numbers below a power of two; cycle walking skips those that are not below
        // `count`.
        repeat {
            value = (value &* 0xD134_2543_DE82_EF95 &+ seed) & mask
            value ^= value >> shift
            value = (value &* 0xDABA_0B6E_B093_22E3 &+ seed >> 32) & mask
            value ^= value >> shift
        } while value >= count
        return Int(value)
    }
}
