internal import AIOCore
internal import Synchronization

/// Callers that wait for a place in a loop's table, first come first served.
final class Admission: Sendable {
    /// What a caller that waited is told.
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
        // @unchecked: what lies in the line is touched under the lock alone.
        var line = Line()
        var isClosed = false
    }

    private let state = Guarded(State())
    /// For the fast path of those who need not wait, and for the loop.
    private let count = Atomic<Int>(0)

    /// Whether somebody waits: a newcomer then queues up behind.
    @inline(__always)
    var isEmpty: Bool { count.load(ordering: .relaxed) == 0 }

    /// Callers that wait now.
    var waiterCount: Int { count.load(ordering: .relaxed) }

    /// Waits for a place. `wake` makes the loop look here.
    func wait(
        _ operation: Operation, _ deadline: Nanoseconds, wake: @Sendable () -> Void
    ) async -> Answer {
        let place = Line.Place(Waiter(operation), deadline: deadline)
        // Acquire: what the loop wrote to the place in its table happened before. So it did by the continuation, which
        // ThreadSanitizer does not see if that was resumed before its task waited.
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
        } onCancel: {
            cancel(place)
        }
    }

    private func cancel(_ place: Line.Place) {
        let isWaiting = state.withLock { state in
            // Not waiting yet, or not any more.
            place.hasLeft = true
            defer { note(state.line.count) }
            return state.line.remove(place)
        }
        if isWaiting { Self.answer(place, .failed(.cancelled)) }
    }

    /// Under the lock. Release: for `wait`.
    private func note(_ waiterCount: Int) { count.store(waiterCount, ordering: .releasing) }

    /// For one that was taken out of the line, by whoever took it: once.
    private static func answer(_ place: Line.Place, _ answer: Answer) {
        place.value.continuation?.resume(returning: answer)
    }

    // MARK: The loop's thread

    /// Gives free places to those who wait. True if one got a place.
    func admit(_ prepare: (Operation, Nanoseconds) -> Token?) -> Bool {
        guard !isEmpty else { return false }
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

    /// The earliest deadline of those who wait.
    var nextDeadline: Nanoseconds {
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

    /// Ends the waiting of operations on a descriptor, or with nil of all; what gives something up goes on waiting. From any
    /// thread. Returns how many there were.
    func cancelAll(on descriptor: Descriptor?) -> Int {
        guard !isEmpty else { return 0 }
        let removed = remove { waiter in
            guard !waiter.operation.isRelease else { return false }
            return descriptor.map { waiter.operation.isOn($0) } ?? true
        }
        for place in removed { Self.answer(place, .failed(.cancelled)) }
        return removed.count
    }

    /// Nobody is admitted any more.
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
