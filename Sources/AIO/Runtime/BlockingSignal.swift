internal import CKernel

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Events that threads signal and one thread waits for, as often: a POSIX semaphore.
final class BlockingSignal: @unchecked Sendable {
    // @unchecked: a semaphore may be used by several threads, and its memory never moves.
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

/// Makes one write(2), so that lines of several threads do not interleave.
func writeToStandardError(_ text: String) {
    var text = text
    text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
}
