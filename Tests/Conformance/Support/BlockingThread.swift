import CSimulatedLibrary
import Glibc
import Synchronization

/// A separate thread for tests that block: Swift's pool has one thread per CPU, and every test needs them.
final class BlockingThread: TaskExecutor, @unchecked Sendable {
    // @unchecked: `jobs` and `isEnding` are accessed under the lock only.
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: [UnownedJob] = []
    private var isEnding = false

    init() {
        pthread_mutex_init(lock, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_mutex_destroy(lock)
        pthread_cond_destroy(condition)
        lock.deallocate()
        condition.deallocate()
    }

    /// Runs `body` on a new thread, which ends afterwards.
    /// In a simulation on its thread: a system call that blocks there lets the other tasks go on.
    static func with<R>(_ body: () async throws -> R) async throws -> R {
        guard !sl_is_simulated() else { return try await body() }
        let executor = BlockingThread()
        let thread = try startThread { executor.run() }
        defer {
            executor.end()
            // All that is left for the thread is to return.
            pthread_detach(thread)
        }
        return try await withTaskExecutorPreference(executor) {
            // The preference takes effect at the next suspension.
            await Task.yield()
            return try await body()
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        pthread_mutex_lock(lock)
        jobs.append(job)
        pthread_cond_signal(condition)
        pthread_mutex_unlock(lock)
    }

    private func end() {
        pthread_mutex_lock(lock)
        isEnding = true
        pthread_cond_signal(condition)
        pthread_mutex_unlock(lock)
    }

    private func run() { run(on: asUnownedTaskExecutor()) }

    /// Runs jobs, as jobs of `executor`, until the end.
    func run(on executor: UnownedTaskExecutor) {
        while let job = next() { job.runSynchronously(on: executor) }
    }

    private func next() -> UnownedJob? {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        while jobs.isEmpty, !isEnding { pthread_cond_wait(condition, lock) }
        return jobs.isEmpty ? nil : jobs.removeFirst()
    }
}

/// Starts a thread that runs `body`.
func startThread(_ body: @escaping @Sendable () -> Void) throws -> pthread_t {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(ThreadBody(body))
    let refused = pthread_create(
        &thread, nil,
        { argument in
            if let argument { Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().body() }
            return nil
        }, argument.toOpaque())
    guard refused == 0 else {
        argument.release()
        throw Unavailable(reason: "no thread: errno \(refused)")
    }
    return thread
}

private final class ThreadBody: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}
