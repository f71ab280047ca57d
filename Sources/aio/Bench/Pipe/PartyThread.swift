import Glibc

/// A thread that runs a party and remembers why that failed.
final class PartyThread: @unchecked Sendable {
    // @unchecked: `failure` is written by the thread, and read when that has been joined.

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

    /// Waits for its end, and returns its failure.
    func join() -> (any Error)? {
        pthread_join(handle, nil)
        return failure
    }
}
