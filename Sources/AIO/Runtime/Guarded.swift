internal import AIOCore

/// A value that is touched under its lock only.
///
/// What `Synchronization.Mutex` is, over libc's lock: ThreadSanitizer knows that one, and takes every access under the
/// other for a race.
struct Guarded<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
    // @unchecked: the lock is what makes it so; `Value` comes in by `sending` and never gets out.
    private let lock = Lock()
    private let value: UnsafeMutablePointer<Value>

    init(_ value: consuming sending Value) {
        self.value = .allocate(capacity: 1)
        self.value.initialize(to: value)
    }

    deinit {
        value.deinitialize(count: 1)
        value.deallocate()
    }

    @inline(__always)
    borrowing func withLock<R: ~Copyable, E: Error>(_ body: (inout Value) throws(E) -> sending R) throws(E) -> sending R
    {
        lock.lock()
        defer { lock.unlock() }
        return try body(&value.pointee)
    }
}
