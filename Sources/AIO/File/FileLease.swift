internal import Synchronization

/// Counts a file's users, so that its descriptor is closed once, and under nobody's hands.
struct FileLease: ~Copyable {
    /// The users now, and `closing` once nobody may begin any more.
    private let state = Atomic<UInt64>(0)
    private let closer = Guarded<UnsafeContinuation<Void, Never>?>(nil)

    private static var closing: UInt64 { 1 << 63 }

    /// False if the file is closed, or about to be.
    @inline(__always)
    borrowing func begin() -> Bool {
        // Acquire, and `end` releases: the close comes after everything that users did.
        let old = state.wrappingAdd(1, ordering: .acquiring).oldValue
        guard old & Self.closing == 0 else {
            end()
            return false
        }
        return true
    }

    /// One user more, by somebody who is one: so also while a close waits.
    borrowing func extend() {
        // Relaxed: the caller's own `begin` came before, and the new user's `end` releases.
        state.wrappingAdd(1, ordering: .relaxed)
    }

    @inline(__always)
    borrowing func end() {
        let new = state.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue
        if new == Self.closing { wakeCloser() }
    }

    private borrowing func wakeCloser() {
        let continuation = closer.withLock { closer in
            defer { closer = nil }
            return closer
        }
        continuation?.resume()
    }

    /// Nobody begins from now on. False if somebody else has closed already.
    borrowing func close() -> Bool {
        state.bitwiseOr(Self.closing, ordering: .acquiringAndReleasing).oldValue & Self.closing == 0
    }

    /// After `close`, by whoever got true: waits until the last user has ended.
    borrowing func waitForUsers() async {
        await withUnsafeContinuation { continuation in
            let isUnused = closer.withLock { closer in
                // A user that ends after this sees the closer; one that ended before is seen here.
                if state.load(ordering: .acquiring) == Self.closing { return true }
                closer = continuation
                return false
            }
            if isUnused { continuation.resume() }
        }
    }

    var isClosed: Bool { state.load(ordering: .acquiring) & Self.closing != 0 }
}
