internal import AIOCore

/// A value that is accessed under its lock only.
///
/// Equivalent to `Synchronization.Mutex`, over libc's mutex. ThreadSanitizer understands libc's and reports every
/// access under the other as a data race.
struct Guarded<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
    // @unchecked: the lock serializes all accesses; `Value` enters by `sending` and never escapes.
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
