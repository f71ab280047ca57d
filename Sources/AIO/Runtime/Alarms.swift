internal import AIOCore
internal import Synchronization

/// Callbacks at deadlines, for waits that are not operations of the loop.
final class Alarms: Sendable {
    typealias Action = @Sendable () -> Void
    typealias Alarm = WaitingLine<Action>.Place

    private struct State: ~Copyable, @unchecked Sendable {
        // @unchecked: the line's alarms are accessed under the lock alone.
        var line = WaitingLine<Action>()
    }

    private let state = Guarded(State())
    /// The number of alarms. Usually 0, so the loop avoids the lock. Sequentially consistent in `set` and
    /// `nextDeadline`, as the inbox's word is, against a lost wake-up: a loop about to sleep sees the alarm, or it is
    /// woken.
    private let count = Atomic<Int>(0)

    /// The caller must wake the loop afterwards. `action` runs on the loop's thread, at most once, and must be short.
    func set(_ deadline: Nanoseconds, _ action: @escaping Action) -> Alarm {
        let alarm = Alarm(action, deadline: deadline)
        state.withLock { state in
            state.line.append(alarm)
            count.store(state.line.count, ordering: .sequentiallyConsistent)
        }
        return alarm
    }

    /// When this returns, the action neither runs nor will run.
    func remove(_ alarm: Alarm) {
        state.withLock { state in
            state.line.remove(alarm)
            // Relaxed: one look too many at the line does no harm.
            count.store(state.line.count, ordering: .relaxed)
        }
    }

    // MARK: On the loop's thread

    var nextDeadline: Nanoseconds {
        guard count.load(ordering: .sequentiallyConsistent) > 0 else { return .never }
        return state.withLock { $0.line.earliestDeadline }
    }

    func expire(_ now: Nanoseconds) {
        // Relaxed: `nextDeadline` has seen every alarm whose time has come.
        guard count.load(ordering: .relaxed) > 0 else { return }
        state.withLock { state in
            // The actions run under the lock, so that `remove` waits for a running one.
            while let alarm = state.line.popPassed(now) { alarm.value() }
            count.store(state.line.count, ordering: .relaxed)
        }
    }
}
