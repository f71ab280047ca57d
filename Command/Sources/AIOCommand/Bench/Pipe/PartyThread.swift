import Glibc

/// A thread that runs one party and keeps its error.
final class PartyThread: @unchecked Sendable {
    // @unchecked: only the thread writes `failure`, and it is read after pthread_join.

    private let body: @Sendable () throws -> Void
    private var failure: (any Error)?
    private var handle = pthread_t()

    init(_ body: @escaping @Sendable () throws -> Void) {
        self.body = body
        let refused = pthread_create(
            &handle, nil,
            { argument in
                if let argument { Unmanaged<PartyThread>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(refused == 0, "pthread_create: \(refused)")
    }

    private func run() {
        do { try body() } catch { failure = error }
    }

    /// Waits for the thread to end. Returns its error.
    func join() -> (any Error)? {
        pthread_join(handle, nil)
        return failure
    }
}
