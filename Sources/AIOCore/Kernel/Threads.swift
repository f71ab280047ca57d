internal import CKernel

/// A mutual exclusion lock: libc's, since sanitizers and debuggers know it.
///
/// Its memory is allocated once and never moves; the owner of the lock owns that memory.
public struct Lock: ~Copyable {
    fileprivate let mutex: UnsafeMutablePointer<pthread_mutex_t>

    public init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    @inline(__always) public borrowing func lock() { pthread_mutex_lock(mutex) }
    @inline(__always) public borrowing func unlock() { pthread_mutex_unlock(mutex) }
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
        guard deadline != .never else {
            wait(lock)
            return true
        }
        var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        return pthread_cond_timedwait(condition, lock.mutex, &time) == 0
    }

    borrowing func signal() { pthread_cond_signal(condition) }
    borrowing func broadcast() { pthread_cond_broadcast(condition) }
}

extension Kernel {
    /// sched_yield(2).
    public static func yieldThread() { sched_yield() }

    /// The calling thread, by the cheapest name that it has.
    @inline(__always)
    public static func currentThread() -> UInt { UInt(pthread_self()) }

    /// Calls `body` with all signals blocked and the thread not to be cancelled: for what waits, in a call that is no
    /// cancellation point, and holds what others need.
    static func undisturbed(_ body: () -> Void) {
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        var state: Int32 = 0
        pthread_setcancelstate(Int32(PTHREAD_CANCEL_DISABLE), &state)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer {
            pthread_sigmask(SIG_SETMASK, &before, nil)
            pthread_setcancelstate(state, nil)
        }
        body()
    }

    /// Starts a detached thread that runs `body` and keeps it alive meanwhile, with all signals blocked, so that the
    /// program's handlers run on its own threads.
    ///
    /// Returns 0 or, as pthread_create(3) does, a positive errno.
    static func startThread(_ body: ThreadBody) -> Int32 {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(body)
        let refused = pthread_create(
            &thread, &attributes,
            { argument in
                if let argument { Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, argument.toOpaque())
        if refused != 0 { argument.release() }
        return refused
    }
}

/// What debuggers show. The drop-in libraries tell their threads from the program's by the names (last_thread.c).
enum ThreadName {
    #if hasFeature(Embedded)
        static var loop: StaticString { "aio-dropin-loop" }
        static var worker: StaticString { "aio-dropin-work" }
    #else
        static var loop: StaticString { "aio-loop" }
        static var worker: StaticString { "aio-worker" }
    #endif
}

/// What a thread runs. A class, since a C function can take neither a closure nor a generic one.
class ThreadBody {
    func run() {}
}
