internal import AIOCore
internal import CKernel

extension File {
    /// The way of every read and write: tried where the caller stands, then handed to a loop.
    ///
    /// Always inlined: the first attempt is a plain call then, and a hit costs one async frame, the caller's.
    @inline(__always)
    func perform(_ transfer: Transfer, _ deadline: Deadline) async throws(IOError) -> Int {
        try begin(transfer.name, deadline)
        defer { lease.end() }
        var transfer = transfer
        if let result = try serveNow(&transfer) { return result }
        return try await handOver(transfer, deadline)
    }

    private func handOver(_ transfer: Transfer, _ deadline: Deadline) async throws(IOError) -> Int {
        Int(try await runtime.perform(.transfer(transfer), deadline.nanoseconds, transfer.name, path).result)
    }

    /// The page cache or the stream, asked on the calling thread. nil if the operation has to go to a loop; `transfer` then
    /// says whether it was asked in vain.
    @inline(__always)
    private func serveNow(_ transfer: inout Transfer) throws(IOError) -> Int? {
        guard transfer.offset >= 0 || descriptor.kind == .stream else {
            throw IOError(.invalidArgument, transfer.name, path: path, advice: "the offset is negative")
        }
        // What a vectored one comes to would have to be read from its vectors.
        guard runtime.configuration.inlineAttempts, !transfer.isVectored else { return nil }
        // A task that is served again and again without suspending would keep its loop from everybody else.
        if guess.isTurnUsedUp(), runtime.isOnLoop { return nil }
        switch transfer.ask(guess, withoutSignal: transfer.isWrite && !runtime.isOnLoop) {
        case .done(let result)? where result >= 0: return result
        case .done(let result)?: throw IOError(result: Int32(truncatingIfNeeded: result), transfer.name, path: path)
        case .wait?: transfer.cacheMissed = true
        case .refused?, nil: break
        }
        return nil
    }
}

extension Transfer {
    /// The word that errors use.
    @inline(__always)
    fileprivate var name: String { isWrite ? "write" : "read" }
}
