import Synchronization

/// Counts connections, so that there are no more than a limit: at the limit the one who accepts waits.
final class ConnectionSlots: Sendable {
    private struct State {
        var count = 0
        var isStopped = false
        /// There is one who accepts.
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    var count: Int { state.withLock { $0.count } }

    /// Takes a place; waits until there is one. False after a stop.
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

    /// Nobody gets a place any more.
    func stop() {
        let waiter = state.withLock { state in
            state.isStopped = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }
}
