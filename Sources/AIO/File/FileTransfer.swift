internal import AIOCore
internal import CKernel

extension File {
    /// The way of every read and write: tried where the caller stands, then handed to a loop.
    @inline(__always)
    func perform(
        _ operation: Operation, _ transfer: Transfer, _ deadline: Nanoseconds
    ) async throws(IOError) -> Int {
        try begin(operation.name)
        defer { lease.end() }
        guard transfer.offset >= 0 || descriptor.kind == .stream else {
            throw IOError(.invalidArgument, operation.name, path: path, advice: "the offset is negative")
        }
        switch attempt(operation, transfer) {
        case .done(let result):
            if runtime.isTurnUsedUp { await Task.yield() }
            guard result >= 0 else {
                throw IOError(result: Int32(truncatingIfNeeded: result), operation.name, path: path)
            }
            return result
        case .missed:
            var transfer = transfer
            transfer.flags.insert(.cacheMissed)
            return try await handOver(operation.with(transfer), deadline)
        case .notTried:
            return try await handOver(operation, deadline)
        }
    }

    private func handOver(_ operation: Operation, _ deadline: Nanoseconds) async throws(IOError) -> Int {
        Int(try await runtime.perform(operation, deadline, operation.name, path).result)
    }

    private enum Attempt {
        case done(Int)
        /// The page cache does not have it, or the stream is not ready.
        case missed
        case notTried
    }

    /// preadv2(2) or pwritev2(2) with RWF_NOWAIT on the calling thread.
    @inline(__always)
    private func attempt(_ operation: Operation, _ transfer: Transfer) -> Attempt {
        guard runtime.configuration.inlineAttempts, mayAttempt(operation, transfer), guess.isWorthAsking() else {
            return .notTried
        }
        let result = operation.attemptWithoutWaiting(transfer)
        if result >= 0 {
            guess.noteHit()
            return .done(result)
        }
        switch result {
        case -Int(EAGAIN) where transfer.flags.contains(.noWait):
            return .done(result)
        case -Int(EAGAIN):
            // A stream that is not ready says nothing about the next time.
            if descriptor.kind == .buffered { guess.noteMiss() }
            return .missed
        case -Int(EOPNOTSUPP):
            if !transfer.flags.contains(.noWait) { guess.noteUnsupported() }
            return .notTried
        default:
            return .done(result)
        }
    }

    /// Buffered reads, and streams; not what takes too long to copy here.
    @inline(__always)
    private func mayAttempt(_ operation: Operation, _ transfer: Transfer) -> Bool {
        switch operation {
        case .read:
            (descriptor.kind == .buffered || descriptor.kind == .stream) && transfer.count <= Transfer.inlineLimit
        case .write:
            descriptor.kind == .stream && transfer.count <= Transfer.inlineLimit
        default:
            false
        }
    }
}

extension Operation {
    /// The same operation with another transfer.
    fileprivate func with(_ transfer: Transfer) -> Operation {
        switch self {
        case .read: .read(transfer)
        case .write: .write(transfer)
        case .readVectored: .readVectored(transfer)
        case .writeVectored: .writeVectored(transfer)
        default: self
        }
    }
}
