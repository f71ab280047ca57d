internal import CKernel
internal import Glibc

/// Something that one thread waits for and another says, once: a POSIX semaphore.
final class BlockingSignal: @unchecked Sendable {
    // @unchecked: a semaphore is made for several threads; its memory never moves.
    private let semaphore: UnsafeMutablePointer<sem_t>

    init() {
        semaphore = .allocate(capacity: 1)
        semaphore.initialize(to: sem_t())
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func set() { sem_post(semaphore) }

    func blockingWait() {
        while sem_wait(semaphore) != 0 {}
    }
}

/// One write(2), so that lines of several threads do not mix.
func writeToStandardError(_ text: String) {
    var text = text
    text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
}
