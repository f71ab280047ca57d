internal import AIOCore

/// The operations in flight on a handle, for its close to end.
struct WaitingOperations: ~Copyable {
    // Not private: Swift 6.3 then makes invalid code of a class in another file that holds this value.
    struct Entry: Sendable {
        var loop: IOLoop
        var token: Token
    }

    struct State: Sendable {
        /// Few: mostly one that reads and one that writes. The array keeps its room.
        var entries: [Entry] = []
        var isEnded = false
    }

    private let state = Guarded(State())

    var isEnded: Bool { state.withLock { $0.isEnded } }

    /// Notes a prepared operation. One that comes after the end is asked to end itself.
    borrowing func add(_ token: Token, _ loop: IOLoop) {
        let isEnded = state.withLock { state in
            state.entries.append(Entry(loop: loop, token: token))
            return state.isEnded
        }
        if isEnded { loop.core.requestCancel(token) }
    }

    borrowing func remove(_ token: Token, _ loop: IOLoop) {
        state.withLock { state in
            guard let index = state.entries.lastIndex(where: { $0.token == token && $0.loop === loop }) else { return }
            state.entries.swapAt(index, state.entries.count - 1)
            state.entries.removeLast()
        }
    }

    /// Asks all of them to end, and those that are still to come.
    borrowing func end() {
        let entries = state.withLock { state in
            state.isEnded = true
            return state.entries
        }
        // A token whose operation has completed meanwhile names nothing.
        for entry in entries { entry.loop.core.requestCancel(entry.token) }
    }
}
