import Synchronization

/// An asynchronous semaphore: admits a limited number of tasks at a time, the others in FIFO order.
final class Gate: Sendable {
    private struct State {
        var free: Int
        /// The waiting tasks, from `first` on. Those before it have entered.
        var waiting: [CheckedContinuation<Void, Never>?] = []
        var first = 0

        mutating func popFirst() -> CheckedContinuation<Void, Never>? {
            guard first < waiting.count else { return nil }
            let next = waiting[first].take()
            first += 1
            // Half of the entries at once, so that an entry is moved once on average.
            if first == waiting.count || first >= 32 && first * 2 >= waiting.count {
                waiting.removeFirst(first)
                first = 0
            }
            return next
        }
    }

    private let state: Mutex<State>

    init(width: Int) { state = Mutex(State(free: width)) }

    /// The entries in memory, of tasks that wait and of tasks that have entered.
    var storedCount: Int { state.withLock { $0.waiting.count } }

    func enter() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                guard state.free == 0 else {
                    state.free -= 1
                    return true
                }
                state.waiting.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    func leave() {
        let next = state.withLock { state in
            let next = state.popFirst()
            if next == nil { state.free += 1 }
            return next
        }
        next?.resume()
    }
}
