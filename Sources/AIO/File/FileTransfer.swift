internal import AIOCore
internal import CKernel

extension File {
    /// The common path of every read and write: an attempt on the calling thread, and then a loop.
    ///
    /// Always inlined: the first attempt is then a plain call, and a cache hit costs one async frame, the caller's.
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

    /// Asks the page cache or the stream on the calling thread.
    @inline(__always)
    private func serveNow(_ transfer: Transfer) throws(IOError) -> Answer? {
        guard runtime.configuration.inlineAttempts else { return nil }
        // A task that is always served without suspending would starve the other tasks of its loop.
        if guess.isTurnUsedUp(), runtime.isOnLoop { return nil }
        let answer = transfer.form.isEmpty ? transfer.ask(guess) : askWithForm(transfer)
        if case .done(let result)? = answer, result < 0 {
            throw IOError(result: Int32(truncatingIfNeeded: result), transfer.name, path: path)
        }
        return answer
    }

    private func askWithForm(_ transfer: Transfer) -> Answer? {
        // The byte count of a vectored transfer is not known without reading its vectors.
        guard !transfer.isVectored else { return nil }
        return transfer.ask(guess, withoutSignal: transfer.isWrite && !runtime.isOnLoop)
    }
}

extension Transfer {
    /// The operation's name in errors.
    @inline(__always)
    fileprivate var name: String { isWrite ? "write" : "read" }
}
