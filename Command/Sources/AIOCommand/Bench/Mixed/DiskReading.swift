import AIO
import AIOCore

/// The disk reads of a server: selects the next block of a slot and checks the result. A slot has one read in flight at
/// a time.
final class DiskReading: @unchecked Sendable {
    // @unchecked: one task or thread at a time accesses a slot; everything else is immutable or safe to share.

    let depth: Int
    private let file: TestFile
    private let turn: Turn
    private let memory: BlockMemory
    private let operations: UnsafeMutablePointer<BlockOperation>
    private let counter: SharedCounter
    /// For reads by system calls and `IOQueue` operations.
    private let descriptor: OpenDescriptor?
    private let target: Descriptor

    init(_ load: DiskLoad, _ file: TestFile, _ counter: SharedCounter) throws {
        depth = load.depth
        self.file = file
        self.counter = counter
        let shape = WorkloadShape(
            fileSize: load.fileSize, blockSize: DiskLoad.blockSize, order: .random, writePercent: 0)
        turn = Turn(
            workload: Workload(shape, round: load.round, repeats: false, generations: nil),
            content: .pattern(Pattern(seed: load.seed)), deadline: .never)
        memory = BlockMemory(blockSize: DiskLoad.blockSize, count: load.depth)
        operations = .allocate(capacity: load.depth)
        let opened = try file.reopen(direct: false)
        target = .classify(opened.number)
        descriptor = consume opened
    }

    deinit { operations.deallocate() }

    /// The slot's next read.
    func next(_ slot: Int) throws -> Transfer {
        guard let operation = turn.next(at: 0) else {
            throw Failure(
                "the whole file was read before the turn was over: raise --size or lower --duration")
        }
        operations[slot] = operation
        return Transfer(target, memory[slot], count: operation.count, offset: Int64(operation.offset))
    }

    /// Completes the slot's read. `result` is bytes or a negative errno.
    func finish(_ slot: Int, _ result: Int) throws {
        let operation = operations[slot]
        // A read of whole pages in the middle of a regular file is never short.
        guard result == operation.count else { throw operation.failure(result) }
        try turn.finish(operation, memory[slot])
        counter.increment()
    }

    // MARK: With tasks

    func openFile(_ runtime: IORuntime) async throws -> File {
        let opened = try await File.open(Path(file.path), .read, runtime: runtime)
        file.advise(opened.descriptor.number)
        return opened
    }

    /// Runs one task's reads, forever.
    func keepReading(_ opened: File, _ slot: Int) async throws {
        let buffer = UnsafeMutableRawBufferPointer(start: memory[slot], count: DiskLoad.blockSize)
        while true {
            let transfer = try next(slot)
            var bytes = buffer.mutableBytes
            let count = try await opened.read(into: &bytes, at: transfer.offset)
            try finish(slot, count)
        }
    }
}
