internal import AIOCore

/// Merges concurrent syncs of one file: the first caller syncs at once, callers that arrive meanwhile share the next
/// round.
final class SharedSync: Sendable {
    enum Answer: Sendable {
        /// No sync is running: the caller syncs, and then calls `endRound`.
        case turn
        /// A round that began after the call has ended, with this error.
        case ended(IOError?)
        /// The caller was cancelled or reached its deadline.
        case failed(IOError.Code)
    }

    private struct State: Sendable {
        var rounds = SyncRounds<UnsafeContinuation<Answer, Never>>()
        var lastID: UInt64 = 0
        /// Callers that gave up before they began to wait.
        var departed: [UInt64: IOError.Code] = [:]
    }

    private let state = Guarded(State())

    /// The number of callers that wait for a round.
    var waiterCount: Int { state.withLock { $0.rounds.waiterCount } }
    var isRunning: Bool { state.withLock { $0.rounds.isRunning } }

    /// Takes the turn, or waits for a round that begins after this call. `loop` enforces the deadline.
    func enter(_ level: SyncLevel, _ deadline: Nanoseconds, _ loop: IOLoop) async -> Answer {
        if state.withLock({ $0.rounds.beginAlone() }) { return .turn }
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        // The cancellation handler and the alarm are gone by then, and nothing else adds the ID.
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
                    // The round may have ended in the meantime.
                    if state.rounds.beginAlone() { return .turn }
                    state.rounds.wait(id, level, continuation)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: { [self] in
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

    /// Ends the running round, resumes the callers that it answers, and begins the next. Returns the level of the next
    /// round, which the caller must carry out; nil if no caller waits.
    func endRound(_ error: IOError?) -> SyncLevel? {
        let (answered, next) = state.withLock { $0.rounds.endRound() }
        for waiter in answered { waiter.resume(returning: .ended(error)) }
        return next
    }
}
