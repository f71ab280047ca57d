/// A way of reading and writing a file that is measured against the others.
protocol Contestant: AnyObject {
    /// As the table and the JSON file have it.
    var name: String { get }

    /// Gets ready, outside the measurement.
    func open(_ file: TestFile) async throws

    /// Carries out the turn's operations until it is over and nothing is in flight.
    func run(_ turn: Turn, _ recorder: Recorder) async throws

    /// Waits for what an error left in flight, then gives back what `open` took.
    func close() async
}

/// Memory for the blocks in flight, aligned for O_DIRECT and touched, so that no turn pays for its page faults.
final class BlockMemory: @unchecked Sendable {
    // @unchecked: each block has one user at a time.

    private let base: UnsafeMutableRawPointer
    private let blockSize: Int

    init(blockSize: Int, count: Int) {
        self.blockSize = blockSize
        base = .allocate(byteCount: blockSize * count, alignment: 4096)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: blockSize * count)
    }

    deinit { base.deallocate() }

    subscript(slot: Int) -> UnsafeMutableRawPointer { base + slot * blockSize }
}
