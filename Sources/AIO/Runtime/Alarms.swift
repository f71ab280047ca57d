internal import AIOCore
internal import Synchronization

/// What is to be called when a deadline passes, for waits that are no operations of the loop. Few at a time.
final class Alarms: Sendable {
    private struct Alarm: Sendable {
        var id: UInt64
        var deadline: Nanoseconds
        var action: @Sendable () -> Void
    }

    private struct State: Sendable {
        var alarms: [Alarm] = []
        var lastID: UInt64 = 0
    }

    private let state = Guarded(State())
    /// For the loop, which mostly finds none.
    private let count = Atomic<Int>(0)

    /// The loop must be woken after this. `action` is called on its thread, at most once, and must be short.
    func set(_ deadline: Nanoseconds, _ action: @escaping @Sendable () -> Void) -> UInt64 {
        state.withLock { state in
            state.lastID += 1
            state.alarms.append(Alarm(id: state.lastID, deadline: deadline, action: action))
            count.store(state.alarms.count, ordering: .relaxed)
            return state.lastID
        }
    }

    /// After this the action is not called any more, and no call is under way.
    func remove(_ id: UInt64) {
        state.withLock { state in
            state.alarms.removeAll { $0.id == id }
            count.store(state.alarms.count, ordering: .relaxed)
        }
    }

    // MARK: The loop's thread

    var nextDeadline: Nanoseconds {
        guard count.load(ordering: .relaxed) > 0 else { return .never }
        return state.withLock { state in state.alarms.reduce(.never) { min($0, $1.deadline) } }
    }

    func expire(_ now: Nanoseconds) {
        guard count.load(ordering: .relaxed) > 0 else { return }
        state.withLock { state in
            // Called under the lock, so that `remove` waits for it.
            for alarm in state.alarms where alarm.deadline <= now { alarm.action() }
            state.alarms.removeAll { $0.deadline <= now }
            count.store(state.alarms.count, ordering: .relaxed)
        }
    }
}
