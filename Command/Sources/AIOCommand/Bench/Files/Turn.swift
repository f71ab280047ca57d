import AIOCore

/// One contestant's share of a round: its operations and its deadline.
struct Turn: Sendable {
    let workload: Workload
    let content: FileContent
    /// On the monotonic clock.
    let deadline: Nanoseconds

    /// The next operation; nil when the turn is over.
    @inline(__always)
    func next(at now: Nanoseconds) -> BlockOperation? {
        guard now < deadline, !Interruption.isRequested else { return nil }
        return workload.next()
    }

    /// Fills `memory` with the content that a write writes.
    @inline(__always)
    func prepare(_ operation: BlockOperation, _ memory: UnsafeMutableRawPointer) {
        if operation.isWrite { content.fill(memory, for: operation) }
    }

    /// Checks every byte that a read returned, and releases the block.
    @inline(__always)
    func finish(_ operation: BlockOperation, _ memory: UnsafeRawPointer) throws(Failure) {
        if !operation.isWrite { try content.check(memory, of: operation) }
        workload.finish(operation)
    }
}

/// The expected content of the file.
enum FileContent: Sendable {
    case pattern(Pattern)
    case checksums(BlockChecksums)

    func fill(_ memory: UnsafeMutableRawPointer, for operation: BlockOperation) {
        guard case .pattern(let pattern) = self else { return }
        pattern.fill(
            memory, count: operation.count, offset: operation.offset, generation: operation.generation)
    }

    @inline(__always)
    func check(_ memory: UnsafeRawPointer, of operation: BlockOperation) throws(Failure) {
        let isRight =
            switch self {
            case .pattern(let pattern):
                pattern.matches(
                    memory, count: operation.count, offset: operation.offset, generation: operation.generation)
            case .checksums(let checksums):
                checksums.matches(memory, count: operation.count, block: operation.block)
            }
        if !isRight {
            throw Failure("wrong content in the \(ByteCount(operation.count)) read at offset \(operation.offset)")
        }
    }
}
