import Glibc

/// A value that several threads of a test share, accessed under its lock only.
///
/// Uses libc's mutex instead of `Synchronization.Mutex`, which ThreadSanitizer does not know.
public final class Locked<Value: Sendable>: @unchecked Sendable {
    // @unchecked: the lock serializes all accesses.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private var value: Value

    public init(_ value: Value) {
        self.value = value
        let refused = pthread_mutex_init(mutex, nil)
        precondition(refused == 0, "pthread_mutex_init: \(refused)")
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    public func withLock<R, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
