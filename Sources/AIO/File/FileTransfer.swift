internal import AIOCore
internal import CKernel

extension File {
    /// The way of every read and write: tried where the caller stands, then handed to a loop.
    ///
    /// Always inlined: the first attempt is a plain call then, and a hit costs one async frame, the caller's.
    @inline(__always)
    func perform(
        _ operation: Operation, _ transfer: Transfer, _ deadline: Deadline
    ) async throws(IOError) -> Int {
        var transfer = transfer
        if let result = try serveNow(operation, &transfer) { return result }
        return try await handOver(operation.with(transfer), deadline)
    }

    private func handOver(_ operation: Operation, _ deadline: Deadline) async throws(IOError) -> Int {
        let name = operation.name
        try begin(name)
        defer { lease.end() }
        return Int(try await runtime.perform(operation, deadline.nanoseconds, name, path).result)
    }

    /// preadv2(2) or pwritev2(2) with RWF_NOWAIT on the calling thread. nil if the operation has to go to a loop;
    /// `transfer` then says whether the page cache was asked in vain.
    private func serveNow(_ operation: Operation, _ transfer: inout Transfer) throws(IOError) -> Int? {
        try begin(operation.name)
        defer { lease.end() }
        guard transfer.offset >= 0 || descriptor.kind == .stream else {
            throw IOError(.invalidArgument, operation.name, path: path, advice: "the offset is negative")
        }
        guard runtime.configuration.inlineAttempts, operation.mayServeNow(transfer), guess.isWorthAsking() else {
            return nil
        }
        // A task that is served again and again without suspending would keep its loop from everybody else.
        if guess.isTurnUsedUp(), runtime.isOnLoop { return nil }
        let result = operation.attemptWithoutWaiting(transfer)
        if result >= 0 {
            guess.noteHit()
            return result
        }
        guard isMiss(result, &transfer) else {
            throw IOError(result: Int32(truncatingIfNeeded: result), operation.name, path: path)
        }
        return nil
    }

    /// Whether a failed attempt says no more than that this is for a loop. Learns from it.
    private func isMiss(_ result: Int, _ transfer: inout Transfer) -> Bool {
        let mayWait = !transfer.flags.contains(.noWait)
        switch result {
        case -Int(EAGAIN) where mayWait:
            // A stream that is not ready says nothing about the next time.
            if descriptor.kind == .buffered { guess.noteMiss() }
            transfer.flags.insert(.cacheMissed)
            return true
        case -Int(EOPNOTSUPP):
            // This file system cannot tell; or it does not know one of the flags, which the engine will say.
            if mayWait { guess.noteUnsupported() }
            return true
        default:
            return false
        }
    }
}

extension Operation {
    /// Buffered reads, and streams; not what takes too long to copy on the caller's thread.
    @inline(__always)
    fileprivate func mayServeNow(_ transfer: Transfer) -> Bool {
        let kind = transfer.descriptor.kind
        switch self {
        case .read: return (kind == .buffered || kind == .stream) && transfer.count <= Transfer.inlineLimit
        case .write: return kind == .stream && transfer.count <= Transfer.inlineLimit
        default: return false
        }
    }

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
