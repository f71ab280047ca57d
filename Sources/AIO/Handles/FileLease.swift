internal import Synchronization

/// Counts a file's users, so that its descriptor is closed exactly once, and never while it is in use.
struct FileLease: ~Copyable {
    /// The number of users, and the bit `closing` once no new user may begin.
    private let state = Atomic<UInt64>(0)
    private let closer = Guarded<UnsafeContinuation<Void, Never>?>(nil)

    private static var closing: UInt64 { 1 << 63 }

    /// Registers a user. Returns false if the file is closed or being closed.
    @inline(__always)
    borrowing func begin() -> Bool {
        // Acquiring, and `end` releases: the close is ordered after everything that users did.
        let old = state.wrappingAdd(1, ordering: .acquiring).oldValue
        guard old & Self.closing == 0 else {
            end()
            return false
        }
        return true
    }

    /// Adds a user on behalf of an existing one, which is possible even while a close waits.
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

    /// Refuses new users from now on. Returns false if the file was closed already.
    borrowing func close() -> Bool {
        state.bitwiseOr(Self.closing, ordering: .acquiringAndReleasing).oldValue & Self.closing == 0
    }

    /// Waits until the last user has ended. Called after `close`, by the caller for which it returned true.
    borrowing func waitForUsers() async {
        await withUnsafeContinuation { continuation in
            let isUnused = closer.withLock { closer in
                // A user that ends later finds the continuation; one that ended earlier is seen by this load
                // (acquiring).
                if state.load(ordering: .acquiring) == Self.closing { return true }
                closer = continuation
                return false
            }
            if isUnused { continuation.resume() }
        }
    }

    var isClosed: Bool { state.load(ordering: .acquiring) & Self.closing != 0 }
}
