internal import AIOCore
internal import Synchronization

/// Callers that wait for a slot in a loop's in-flight table, first come, first served.
final class Admission: Sendable {
    /// The outcome of a wait.
    enum Answer: Sendable {
        case admitted(Token)
        case failed(IOError.Code)
    }

    private final class Waiter: @unchecked Sendable {
        // @unchecked: the continuation is set before the waiter joins the line, under its lock.
        let operation: Operation
        var continuation: UnsafeContinuation<Answer, Never>?

        init(_ operation: Operation) { self.operation = operation }
    }

    private typealias Line = WaitingLine<Waiter>

    private struct State: ~Copyable, @unchecked Sendable {
        // @unchecked: the line's waiters are accessed under the lock alone.
        var line = Line()
        var isClosed = false
    }

    private let state = Guarded(State())
    /// The number of waiters, for callers on the fast path and for the loop.
    private let count = Atomic<Int>(0)

    /// Whether nobody waits; otherwise a new caller waits behind the others. Relaxed: a stale value lets a caller
    /// overtake.
    @inline(__always)
    var isEmpty: Bool { count.load(ordering: .relaxed) == 0 }

    /// The same for the loop, which may be about to sleep. Sequentially consistent with `note` and with the inbox's
    /// word, against a lost wake-up: the loop sees a new waiter, or the waiter sees that the loop sleeps.
    var hasWaiters: Bool { count.load(ordering: .sequentiallyConsistent) > 0 }

    /// The number of callers that wait.
    var waiterCount: Int { count.load(ordering: .relaxed) }

    /// Waits for a slot. `wake` makes the loop check this line.
    func wait(
        _ operation: Operation, _ deadline: Nanoseconds, wake: @Sendable () -> Void
    ) async -> Answer {
        let place = Line.Place(Waiter(operation), deadline: deadline)
        // Acquiring: orders the loop's writes to the slot before this. The continuation orders them as well, but
        // ThreadSanitizer does not see that if it was resumed before its task suspended.
        defer { _ = count.load(ordering: .acquiring) }
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let refusal = state.withLock { state -> IOError.Code? in
                    if state.isClosed { return .runtimeShutDown }
                    if place.hasLeft { return .cancelled }
                    place.value.continuation = continuation
                    state.line.append(place)
                    note(state.line.count)
                    return nil
                }
                if let refusal { continuation.resume(returning: .failed(refusal)) } else { wake() }
            }
        } onCancel: { [self] in
            cancel(place)
        }
    }

    private func cancel(_ place: Line.Place) {
        let isWaiting = state.withLock { state in
            // The caller does not wait yet, or no longer waits.
            place.hasLeft = true
            defer { note(state.line.count) }
            return state.line.remove(place)
        }
        if isWaiting { Self.answer(place, .failed(.cancelled)) }
    }

    /// Called under the lock. Sequentially consistent: see `hasWaiters`. It releases to the load in `wait` as well.
    private func note(_ waiterCount: Int) { count.store(waiterCount, ordering: .sequentiallyConsistent) }

    /// Resumes a waiter that was removed from the line. Called exactly once, by the side that removed it.
    private static func answer(_ place: Line.Place, _ answer: Answer) {
        place.value.continuation?.resume(returning: answer)
    }

    // MARK: On the loop's thread

    /// Assigns free slots to waiters. Returns true if at least one waiter got a slot.
    func admit(_ prepare: (Operation, Nanoseconds) -> Token?) -> Bool {
        guard hasWaiters else { return false }
        var admittedAny = false
        while let (place, token) = next(prepare) {
            Self.answer(place, .admitted(token))
            admittedAny = true
        }
        return admittedAny
    }

    private func next(_ prepare: (Operation, Nanoseconds) -> Token?) -> (Line.Place, Token)? {
        state.withLock { state in
            guard let first = state.line.first, let token = prepare(first.value.operation, first.deadline) else {
                return nil
            }
            state.line.remove(first)
            note(state.line.count)
            return (first, token)
        }
    }

    /// The earliest deadline of the waiters.
    var nextDeadline: Nanoseconds {
        // Relaxed suffices: a loop about to sleep has looked at `hasWaiters` before.
        guard !isEmpty else { return .never }
        return state.withLock { $0.line.earliestDeadline }
    }

    func expire(_ now: Nanoseconds) {
        guard !isEmpty else { return }
        while let place = popPassed(now) { Self.answer(place, .failed(.deadlineExceeded)) }
    }

    private func popPassed(_ now: Nanoseconds) -> Line.Place? {
        state.withLock { state in
            defer { note(state.line.count) }
            return state.line.popPassed(now)
        }
    }

    /// Cancels the waits of operations on a descriptor, or with nil of all operations, except for releases. Callable
    /// from any thread. Returns the number of cancelled waits.
    func cancelAll(on descriptor: Descriptor?) -> Int {
        guard !isEmpty else { return 0 }
        let removed = remove { waiter in
            guard !waiter.operation.isRelease else { return false }
            return descriptor.map { waiter.operation.isOn($0) } ?? true
        }
        for place in removed { Self.answer(place, .failed(.cancelled)) }
        return removed.count
    }

    /// Refuses all waiters, present and future.
    func close() {
        state.withLock { $0.isClosed = true }
        for place in remove(where: { _ in true }) { Self.answer(place, .failed(.runtimeShutDown)) }
    }

    private func remove(where matches: (Waiter) -> Bool) -> [Line.Place] {
        state.withLock { state in
            defer { note(state.line.count) }
            return state.line.remove(where: matches)
        }
    }
}
