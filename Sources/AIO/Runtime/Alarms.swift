internal import AIOCore
internal import Synchronization

/// What is to be called when a deadline passes, for waits that are no operations of the loop.
final class Alarms: Sendable {
    typealias Action = @Sendable () -> Void
    typealias Alarm = WaitingLine<Action>.Place

    private struct State: ~Copyable, @unchecked Sendable {
        // @unchecked: what lies in the line is touched under the lock alone.
        var line = WaitingLine<Action>()
    }

    private let state = Guarded(State())
    /// For the loop, which mostly finds none.
    private let count = Atomic<Int>(0)

    /// The loop must be woken after this. `action` is called on its thread, at most once, and must be short.
    func set(_ deadline: Nanoseconds, _ action: @escaping Action) -> Alarm {
        let alarm = Alarm(action, deadline: deadline)
        state.withLock { state in
            state.line.append(alarm)
            count.store(state.line.count, ordering: .relaxed)
        }
        return alarm
    }

    /// After this the action is not called any more, and no call is under way.
    func remove(_ alarm: Alarm) {
        state.withLock { state in
            state.line.remove(alarm)
            count.store(state.line.count, ordering: .relaxed)
        }
    }

    // MARK: The loop's thread

    var nextDeadline: Nanoseconds {
        guard count.load(ordering: .relaxed) > 0 else { return .never }
        return state.withLock { $0.line.earliestDeadline }
    }

    func expire(_ now: Nanoseconds) {
        guard count.load(ordering: .relaxed) > 0 else { return }
        state.withLock { state in
            // Called under the lock, so that `remove` waits for it.
            while let alarm = state.line.popPassed(now) { alarm.value() }
            count.store(state.line.count, ordering: .relaxed)
        }
    }
}
