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
        switch try serveNow(transfer) {
        case .done(let result)?: return result
        case .wait?: return try await handOver(transfer, deadline, cacheMissed: true)
        case .refused?, nil: return try await handOver(transfer, deadline, cacheMissed: false)
        }
    }

    private func handOver(
        _ transfer: Transfer, _ deadline: Deadline, cacheMissed: Bool
    ) async throws(IOError) -> Int {
        guard transfer.offset >= 0 || descriptor.kind == .stream else {
            throw IOError(.invalidArgument, transfer.name, path: path, advice: "the offset is negative")
        }
        var transfer = transfer
        if cacheMissed { transfer.form.insert(.cacheMissed) }
        return Int(try await runtime.perform(.transfer(transfer), deadline.nanoseconds, transfer.name, path).result)
    }

    /// The page cache or the stream, asked on the calling thread.
    @inline(__always)
    private func serveNow(_ transfer: Transfer) throws(IOError) -> Answer? {
        guard runtime.configuration.inlineAttempts else { return nil }
        // A task that is served again and again without suspending would keep its loop from everybody else.
        if guess.isTurnUsedUp(), runtime.isOnLoop { return nil }
        let answer = transfer.form.isEmpty ? transfer.ask(guess) : askWithForm(transfer)
        if case .done(let result)? = answer, result < 0 {
            throw IOError(result: Int32(truncatingIfNeeded: result), transfer.name, path: path)
        }
        return answer
    }

    private func askWithForm(_ transfer: Transfer) -> Answer? {
        // What a vectored one comes to would have to be read from its vectors.
        guard !transfer.isVectored else { return nil }
        return transfer.ask(guess, withoutSignal: transfer.isWrite && !runtime.isOnLoop)
    }
}

extension Transfer {
    /// The word that errors use.
    @inline(__always)
    fileprivate var name: String { isWrite ? "write" : "read" }
}
