internal import CKernel

/// A mutual exclusion lock: libc's, since sanitizers and debuggers know it.
///
/// Its memory is allocated once and never moves; the owner of the lock owns that memory.
struct Lock: ~Copyable {
    fileprivate let mutex: UnsafeMutablePointer<pthread_mutex_t>

    init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    @inline(__always) borrowing func lock() { pthread_mutex_lock(mutex) }
    @inline(__always) borrowing func unlock() { pthread_mutex_unlock(mutex) }
}

/// What threads wait for under a `Lock`, with deadlines on the monotonic clock.
struct Condition: ~Copyable {
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    init() {
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        condition.deallocate()
    }

    borrowing func wait(_ lock: borrowing Lock) { pthread_cond_wait(condition, lock.mutex) }

    /// Returns false when the deadline passed first.
    borrowing func wait(_ lock: borrowing Lock, until deadline: Nanoseconds) -> Bool {
        var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        return pthread_cond_timedwait(condition, lock.mutex, &time) == 0
    }

    borrowing func signal() { pthread_cond_signal(condition) }
    borrowing func broadcast() { pthread_cond_broadcast(condition) }
}

extension Kernel {
    /// The calling thread, by the cheapest name that it has.
    @inline(__always)
    public static func currentThread() -> UInt { UInt(pthread_self()) }

    /// Starts a thread with all signals blocked, so that the program's handlers run on its own threads.
    ///
    /// Returns an errno (positive, as pthread_create(3) does), or 0.
    static func startThread(
        _ argument: UnsafeMutableRawPointer, detached: Bool, thread: UnsafeMutablePointer<pthread_t>,
        _ body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?
    ) -> Int32 {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        if detached { pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED)) }
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        return pthread_create(thread, &attributes, body, argument)
    }

    static func join(_ thread: pthread_t) { pthread_join(thread, nil) }
}
