internal import AIOCore

/// The callers of one file's `sync`: one is served at once, those who come meanwhile share the next.
final class SharedSync: Sendable {
    enum Answer: Sendable {
        /// Nobody else is at it: the caller syncs, and then calls `endRound`.
        case turn
        /// A round that began after the call has ended, with this error.
        case ended(IOError?)
        /// The caller gave up.
        case failed(IOError.Code)
    }

    private struct State: Sendable {
        var rounds = SyncRounds<UnsafeContinuation<Answer, Never>>()
        var lastID: UInt64 = 0
        /// Gave up before they began to wait.
        var departed: [UInt64: IOError.Code] = [:]
    }

    private let state = Guarded(State())

    /// Callers that wait for a round now.
    var waiterCount: Int { state.withLock { $0.rounds.waiterCount } }
    var isRunning: Bool { state.withLock { $0.rounds.isRunning } }

    /// Gets the turn, or waits for a round that begins after this call. The deadline is kept by `loop`.
    func enter(_ level: SyncLevel, _ deadline: Nanoseconds, _ loop: IOLoop) async -> Answer {
        if state.withLock({ $0.rounds.beginAlone() }) { return .turn }
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        // Once the handler and the alarm are gone, nobody can put the id there any more.
        defer { state.withLock { $0.departed[id] = nil } }
        guard deadline != .never else { return await wait(id, level) }
        let alarm = loop.setAlarm(deadline) { [self] in depart(id, .deadlineExceeded) }
        defer { loop.removeAlarm(alarm) }
        return await wait(id, level)
    }

    private func wait(_ id: UInt64, _ level: SyncLevel) async -> Answer {
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let answer = state.withLock { state -> Answer? in
                    if let code = state.departed[id] { return .failed(code) }
                    // The round may have ended since.
                    if state.rounds.beginAlone() { return .turn }
                    state.rounds.wait(id, level, continuation)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            depart(id, .cancelled)
        }
    }

    private func depart(_ id: UInt64, _ code: IOError.Code) {
        let waiter = state.withLock { state in
            let waiter = state.rounds.leave(id)
            if waiter == nil { state.departed[id] = code }
            return waiter
        }
        waiter?.resume(returning: .failed(code))
    }

    /// Ends the round that runs, tells those whom it answers, and returns the level of the next, which has begun: the
    /// caller sees to that one too. nil if nobody waits.
    func endRound(_ error: IOError?) -> SyncLevel? {
        let (answered, next) = state.withLock { $0.rounds.endRound() }
        for waiter in answered { waiter.resume(returning: .ended(error)) }
        return next
    }
}
