import Synchronization

/// Limits the number of connections: at the limit, the accepting task waits.
final class ConnectionSlots: Sendable {
    private struct State {
        var count = 0
        var isStopped = false
        /// The only accepting task.
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    var count: Int { state.withLock { $0.count } }

    /// Acquires a slot; waits until one is free. Returns false after `stop`.
    func acquire() async -> Bool {
        while true {
            let isTaken = state.withLock { state -> Bool? in
                if state.isStopped { return false }
                guard state.count < limit else { return nil }
                state.count += 1
                return true
            }
            if let isTaken { return isTaken }
            await waitForChange()
        }
    }

    private func waitForChange() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if state.count < limit || state.isStopped { return true }
                state.waiter = continuation
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    func release() {
        let waiter = state.withLock { state in
            state.count -= 1
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// From now on, `acquire` returns false.
    func stop() {
        let waiter = state.withLock { state in
            state.isStopped = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }
}
