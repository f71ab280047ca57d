internal import AIOCore

/// Which callers a sync of a file answers: those that asked before it began, and no others.
///
/// One round runs at a time. Who comes meanwhile waits for the next one, with everybody else who comes: the sync that
/// runs may have passed over what they wrote. Plain state, which `SharedSync` guards.
struct SyncRounds<Waiter> {
    fileprivate struct Entry {
        var id: UInt64
        var level: SyncLevel
        var waiter: Waiter
    }

    /// Whether a round has begun and not ended.
    private(set) var isRunning = false
    /// Those whom the running round answers; none if its caller is alone and carries it out himself.
    private var running: [Entry] = []
    /// Those whom the next round will answer.
    private var waiting: [Entry] = []

    var waiterCount: Int { running.count + waiting.count }

    /// Begins a round for the caller alone. False if one runs: then the caller waits.
    mutating func beginAlone() -> Bool {
        guard !isRunning else { return false }
        isRunning = true
        return true
    }

    /// Joins the round after the one that runs.
    mutating func wait(_ id: UInt64, _ level: SyncLevel, _ waiter: Waiter) {
        waiting.append(Entry(id: id, level: level, waiter: waiter))
    }

    /// Takes somebody out who gives up. nil if he does not wait (any more).
    mutating func leave(_ id: UInt64) -> Waiter? {
        if let index = waiting.firstIndex(where: { $0.id == id }) { return waiting.remove(at: index).waiter }
        if let index = running.firstIndex(where: { $0.id == id }) { return running.remove(at: index).waiter }
        return nil
    }

    /// Ends the round that runs, and begins the next if anybody waits. Returns whom the ended one answers, and the
    /// level of the next: the highest that is asked for, which satisfies the others.
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
