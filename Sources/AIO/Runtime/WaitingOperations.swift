internal import AIOCore

/// The operations in flight on a handle, which its close cancels.
struct WaitingOperations: ~Copyable {
    // Not private: Swift 6.3 otherwise generates invalid code for a class in another file that stores this value.
    struct Entry: Sendable {
        var loop: IOLoop
        var token: Token
    }

    struct State: Sendable {
        /// Usually one read and one write. The array keeps its capacity.
        var entries: [Entry] = []
        var isEnded = false
    }

    private let state = Guarded(State())

    var isEnded: Bool { state.withLock { $0.isEnded } }

    /// Records a prepared operation. If `end` was called before, the operation is cancelled.
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

    /// Cancels all recorded operations, and every operation that is added later.
    borrowing func end() {
        let entries = state.withLock { state in
            state.isEnded = true
            // Taken out. A copy would share its memory with the list that the operations still change, by a reference
            // count that ThreadSanitizer does not see.
            defer { state.entries = [] }
            return state.entries
        }
        // A token whose operation has completed in the meantime is stale and has no effect.
        for entry in entries { entry.loop.core.requestCancel(entry.token) }
    }
}
