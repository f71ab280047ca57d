internal import CKernel
internal import Synchronization

/// A mutual exclusion lock: libc's, which sanitizers and debuggers support.
///
/// Its memory is allocated once and never moves; the lock owns it.
public struct Lock: ~Copyable {
    fileprivate let mutex: UnsafeMutablePointer<pthread_mutex_t>
    #if DEBUG
        /// The thread that holds the lock, or 0. Relaxed: a thread finds its own ID only if it stored it itself.
        private let holder: UnsafeMutablePointer<Atomic<UInt>>
    #endif

    /// A lock that nobody holds.
    public init() {
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        #if DEBUG
            holder = .allocate(capacity: 1)
            holder.initialize(to: Atomic(0))
        #endif
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
        #if DEBUG
            holder.deallocate()
        #endif
    }

    /// Waits for the lock and takes it. The thread must not hold it already.
    @inline(__always)
    public borrowing func lock() {
        #if DEBUG
            assert(!isHeld, "the thread has the lock already")
        #endif
        pthread_mutex_lock(mutex)
        noteHolder(true)
    }

    /// Releases the lock, which the calling thread must hold.
    @inline(__always)
    public borrowing func unlock() {
        assert(isHeld, "the thread does not have the lock")
        noteHolder(false)
        pthread_mutex_unlock(mutex)
    }

    /// For assertions: whether the calling thread holds the lock. Always true in release builds, which do not track it.
    @inline(__always)
    public var isHeld: Bool {
        #if DEBUG
            holder.pointee.load(ordering: .relaxed) == Kernel.currentThread()
        #else
            true
        #endif
    }

    @inline(__always)
    fileprivate borrowing func noteHolder(_ isHeld: Bool) {
        #if DEBUG
            holder.pointee.store(isHeld ? Kernel.currentThread() : 0, ordering: .relaxed)
        #endif
    }
}

/// A condition variable for a `Lock`, with deadlines on the monotonic clock.
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

    /// Releases the lock while waiting. May return early (spurious wake-ups).
    borrowing func wait(_ lock: borrowing Lock) {
        assert(lock.isHeld)
        lock.noteHolder(false)
        pthread_cond_wait(condition, lock.mutex)
        lock.noteHolder(true)
    }

    /// Returns false if the deadline passed.
    borrowing func wait(_ lock: borrowing Lock, until deadline: Nanoseconds) -> Bool {
        guard deadline != .never else {
            wait(lock)
            return true
        }
        var time = timespec(tv_sec: Int(deadline / 1_000_000_000), tv_nsec: Int(deadline % 1_000_000_000))
        assert(lock.isHeld)
        lock.noteHolder(false)
        defer { lock.noteHolder(true) }
        return pthread_cond_timedwait(condition, lock.mutex, &time) == 0
    }

    borrowing func signal() { pthread_cond_signal(condition) }
    borrowing func broadcast() { pthread_cond_broadcast(condition) }
}

extension Kernel {
    /// sched_yield(2).
    public static func yieldThread() { sched_yield() }

    /// The calling thread's pthread_self(3), its cheapest identifier.
    @inline(__always)
    public static func currentThread() -> UInt { UInt(pthread_self()) }

    /// Calls `body` with all signals blocked and thread cancellation disabled: for a wait in a call that is no
    /// cancellation point, while resources are held that others need.
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

    /// Starts a detached thread that runs `body`, and retains it until then. All signals are blocked, so that the
    /// program's handlers run on its own threads.
    ///
    /// Returns 0, or a positive errno as pthread_create(3) does.
    static func startThread(_ body: ThreadBody) -> Int32 {
        // ENOSYS: a stand-in that knows nothing of threads.
        if let refused = answer(inPlaceOf: Int(CK_NR_clone)), refused < 0, refused != -Int(ENOSYS) {
            return Int32(-refused)
        }
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

/// The names that debuggers show. The drop-ins distinguish their threads from the program's by them (last_thread.c), so
/// every thread has one.
enum ThreadName {
    case loop, worker, waiting

    fileprivate var text: StaticString {
        #if hasFeature(Embedded)
            switch self {
            case .loop: "aio-dropin-loop"
            case .worker: "aio-dropin-work"
            case .waiting: "aio-dropin-wait"
            }
        #else
            switch self {
            case .loop: "aio-loop"
            case .worker: "aio-worker"
            case .waiting: "aio-waiting"
            }
        #endif
    }
}

extension Kernel {
    /// prctl(PR_SET_NAME): names the calling thread, with at most 15 bytes.
    static func nameThread(_ name: ThreadName) {
        _ = call(CK_NR_prctl, Int(CK_PR_SET_NAME), address(name.text.utf8Start))
    }
}

/// The code of a thread. A class, since a C function pointer can take neither a closure nor a generic type.
class ThreadBody {
    func run() {}
}
