internal import AIOCore

/// Decides which callers a sync of a file answers: exactly those that asked before it began.
///
/// One round runs at a time. Callers that arrive meanwhile share the next round, because the running sync may have
/// missed their writes. Plain state; `SharedSync` guards it.
struct SyncRounds<Waiter> {
    fileprivate struct Entry {
        var id: UInt64
        var level: SyncLevel
        var waiter: Waiter
    }

    /// Whether a round has begun and not ended.
    private(set) var isRunning = false
    /// The callers that the running round answers; empty if its caller carries it out for itself alone.
    private var running: [Entry] = []
    /// The callers that the next round will answer.
    private var waiting: [Entry] = []

    var waiterCount: Int { running.count + waiting.count }

    /// Begins a round for the caller alone. Returns false if a round is running.
    mutating func beginAlone() -> Bool {
        guard !isRunning else { return false }
        isRunning = true
        return true
    }

    /// Joins the round after the running one.
    mutating func wait(_ id: UInt64, _ level: SyncLevel, _ waiter: Waiter) {
        waiting.append(Entry(id: id, level: level, waiter: waiter))
    }

    /// Removes a caller that gives up. Returns nil if it does not wait, or no longer.
    mutating func leave(_ id: UInt64) -> Waiter? {
        if let index = waiting.firstIndex(where: { $0.id == id }) { return waiting.remove(at: index).waiter }
        if let index = running.firstIndex(where: { $0.id == id }) { return running.remove(at: index).waiter }
        return nil
    }

    /// Ends the running round, and begins the next if callers wait for it. Returns the callers that the ended round
    /// answers, and the level of the next round: the highest requested, which satisfies the others.
    mutating func endRound() -> (answered: [Waiter], next: SyncLevel?) {
        let answered = running.map(\.waiter)
        running = waiting
        waiting = []
        isRunning = !running.isEmpty
        guard isRunning else { return (answered, nil) }
        return (answered, running.contains { $0.level == .full } ? .full : .data)
    }
}

extension SyncRounds: Sendable where Waiter: Sendable {}
extension SyncRounds.Entry: Sendable where Waiter: Sendable {}
