import Glibc

/// A plain thread, not one of Swift's pool: the code under test works on any thread.
public struct TestThread: @unchecked Sendable {
    // @unchecked: an opaque thread ID.
    public let handle: pthread_t

    public init(_ body: @escaping @Sendable () -> Void) {
        var handle = pthread_t()
        let box = Unmanaged.passRetained(Body(body))
        let refused = pthread_create(
            &handle, nil,
            { argument in
                if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().body() }
                return nil
            }, box.toOpaque())
        precondition(refused == 0, "pthread_create: \(refused)")
        self.handle = handle
    }

    public func join() { pthread_join(handle, nil) }
}

private final class Body: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// Runs `body` on `count` threads at once and waits for all of them.
public func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let threads = (0..<count).map { index in TestThread { body(index) } }
    for thread in threads { thread.join() }
}

/// Waits until `condition` holds. Returns false after a timeout that only a hang reaches.
public func eventually(_ condition: () -> Bool) -> Bool {
    let start = ContinuousClock.now
    while !condition() {
        guard start.duration(to: .now) < .seconds(60) else { return false }
        sched_yield()
    }
    return true
}
