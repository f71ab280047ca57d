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
        case .done(let result): return result
        case .missed: return try await handOver(transfer, deadline, cacheMissed: true)
        case .notAsked: return try await handOver(transfer, deadline, cacheMissed: false)
        case .turnIsOver: return try await serveAfterOthers(transfer, deadline)
        }
    }

    /// What came of a transfer on the calling thread.
    private enum Served {
        case done(Int)
        case missed
        case notAsked
        /// Other tasks go first.
        case turnIsOver
    }

    /// Suspends the task behind the others of its loop, and then asks again.
    private func serveAfterOthers(_ transfer: Transfer, _ deadline: Deadline) async throws(IOError) -> Int {
        await Task.yield()
        switch try ask(transfer) {
        case .done(let result): return result
        case .missed: return try await handOver(transfer, deadline, cacheMissed: true)
        case .notAsked, .turnIsOver: return try await handOver(transfer, deadline, cacheMissed: false)
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

    /// Asks the page cache or the stream on the calling thread, unless the task has had its turn.
    @inline(__always)
    private func serveNow(_ transfer: Transfer) throws(IOError) -> Served {
        guard runtime.configuration.inlineAttempts else { return .notAsked }
        // A task that is always served without suspending would starve the other tasks of its loop.
        let turn = guess.turn()
        if turn != .goesOn, runtime.isTurnOver(turn) { return .turnIsOver }
        return try ask(transfer)
    }

    @inline(__always)
    private func ask(_ transfer: Transfer) throws(IOError) -> Served {
        switch transfer.form.isEmpty ? transfer.ask(guess) : askWithForm(transfer) {
        case .done(let result)?:
            guard result >= 0 else {
                throw IOError(result: Int32(truncatingIfNeeded: result), transfer.name, path: path)
            }
            return .done(result)
        case .wait?: return .missed
        case .refused?, nil: return .notAsked
        }
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
