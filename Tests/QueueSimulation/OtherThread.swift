import Glibc

/// A second thread that does what it is told, one thing at a time, while the first waits: what several threads do
/// happens in an order that the seed determines, and still on different threads.
final class OtherThread: @unchecked Sendable {
    // @unchecked: the semaphores hand `work` from one thread to the other and back.
    private var work: (() -> Void)?
    private var isOver = false
    private let begun = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    private let done = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    private var thread = pthread_t()

    init() {
        sem_init(begun, 0, 0)
        sem_init(done, 0, 0)
        let refused = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<OtherThread>.fromOpaque(argument).takeUnretainedValue().serve() }
                return nil
            }, Unmanaged.passUnretained(self).toOpaque())
        precondition(refused == 0, "pthread_create: \(refused)")
    }

    /// Ends the thread. Nothing may follow.
    func end() {
        isOver = true
        Self.post(begun)
        pthread_join(thread, nil)
        begun.deallocate()
        done.deallocate()
    }

    /// Runs `body` on the other thread, and waits for it.
    func perform(_ body: () -> Void) {
        withoutActuallyEscaping(body) { body in
            work = body
            Self.post(begun)
            Self.wait(done)
            work = nil
        }
    }

    private func serve() {
        while true {
            Self.wait(begun)
            if isOver { return }
            work?()
            Self.post(done)
        }
    }

    private static func post(_ semaphore: UnsafeMutablePointer<sem_t>) { sem_post(semaphore) }
    private static func wait(_ semaphore: UnsafeMutablePointer<sem_t>) { while sem_wait(semaphore) != 0 {} }
}
