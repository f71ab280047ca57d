internal import AIOCore
internal import Synchronization

/// Callers that wait for a place in a loop's table, first come first served.
final class Admission: Sendable {
    /// What a caller that waited is told.
    enum Answer: Sendable {
        case admitted(Token)
        case failed(IOError.Code)
    }

    private struct Waiter: Sendable {
        var id: UInt64
        var operation: Operation
        var deadline: Nanoseconds
        var continuation: UnsafeContinuation<Answer, Never>
    }

    private struct State: Sendable {
        var waiters: [Waiter] = []
        var lastID: UInt64 = 0
        /// Cancelled before they began to wait.
        var cancelled: Set<UInt64> = []
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
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        // After the handler is gone, nobody can put the id there any more.
        defer { state.withLock { _ = $0.cancelled.remove(id) } }
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let refusal = state.withLock { state -> IOError.Code? in
                    if state.isClosed { return .runtimeShutDown }
                    if state.cancelled.contains(id) { return .cancelled }
                    state.waiters.append(
                        Waiter(id: id, operation: operation, deadline: deadline, continuation: continuation))
                    count.store(state.waiters.count, ordering: .relaxed)
                    return nil
                }
                if let refusal { continuation.resume(returning: .failed(refusal)) } else { wake() }
            }
        } onCancel: {
            cancel(id)
        }
    }

    private func cancel(_ id: UInt64) {
        let waiter = state.withLock { state -> Waiter? in
            guard let index = state.waiters.firstIndex(where: { $0.id == id }) else {
                // Not waiting yet, or not any more.
                state.cancelled.insert(id)
                return nil
            }
            defer { count.store(state.waiters.count, ordering: .relaxed) }
            return state.waiters.remove(at: index)
        }
        waiter?.continuation.resume(returning: .failed(.cancelled))
    }

    // MARK: The loop's thread

    /// Gives free places to those who wait. True if one got a place.
    func admit(_ prepare: (Operation, Nanoseconds) -> Token?) -> Bool {
        guard !isEmpty else { return false }
        var admittedAny = false
        while let (waiter, token) = next(prepare) {
            waiter.continuation.resume(returning: .admitted(token))
            admittedAny = true
        }
        return admittedAny
    }

    private func next(_ prepare: (Operation, Nanoseconds) -> Token?) -> (Waiter, Token)? {
        state.withLock { state in
            guard let first = state.waiters.first, let token = prepare(first.operation, first.deadline) else {
                return nil
            }
            state.waiters.removeFirst()
            count.store(state.waiters.count, ordering: .relaxed)
            return (first, token)
        }
    }

    /// The earliest deadline of those who wait.
    var nextDeadline: Nanoseconds {
        guard !isEmpty else { return .never }
        return state.withLock { state in state.waiters.reduce(.never) { min($0, $1.deadline) } }
    }

    func expire(_ now: Nanoseconds) {
        guard !isEmpty else { return }
        let expired = remove { $0.deadline <= now }
        for waiter in expired { waiter.continuation.resume(returning: .failed(.deadlineExceeded)) }
    }

    /// Ends the waiting of operations on a descriptor, or with nil of all; a close is not given up. From any thread. Returns
    /// how many there were.
    func cancelAll(on descriptor: Descriptor?) -> Int {
        guard !isEmpty else { return 0 }
        let removed = remove { waiter in
            if case .close = waiter.operation { return false }
            return descriptor.map { waiter.operation.isOn($0) } ?? true
        }
        for waiter in removed { waiter.continuation.resume(returning: .failed(.cancelled)) }
        return removed.count
    }

    /// Nobody is admitted any more.
    func close() {
        state.withLock { $0.isClosed = true }
        for waiter in remove(where: { _ in true }) {
            waiter.continuation.resume(returning: .failed(.runtimeShutDown))
        }
    }

    private func remove(where matches: (Waiter) -> Bool) -> [Waiter] {
        state.withLock { state in
            let removed = state.waiters.filter(matches)
            state.waiters.removeAll(where: matches)
            count.store(state.waiters.count, ordering: .relaxed)
            return removed
        }
    }
}
