/// A way of reading and writing a file, to be measured against the others.
protocol Contestant: AnyObject {
    /// The name in the table and in the JSON file.
    var name: String { get }

    /// Prepares for a turn. Not measured.
    func open(_ file: TestFile) async throws

    /// Carries out the turn's operations. Returns when the turn is over and nothing is in flight.
    func run(_ turn: Turn, _ recorder: Recorder) async throws

    /// Waits for operations that an error left in flight, then releases what `open` acquired.
    func close() async
}

/// Memory for the blocks in flight. It is aligned for O_DIRECT and already touched, so that no turn pays for its page
/// faults.
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
