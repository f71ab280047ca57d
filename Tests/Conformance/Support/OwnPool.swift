import CSimulatedLibrary
import CSimulation
import Glibc
import Testing

/// Threads on which Swift's global executor runs its jobs, in place of libdispatch's.
///
/// For exit tests that leave no descriptor free: libdispatch opens /proc/self/task/ID/stat once a second, while jobs
/// wait for a thread, and ends the process if it cannot (`_dispatch_workq_count_runnable_workers`).
final class OwnPool: Sendable {
    private let executor = BlockingThread()

    private static let shared = OwnPool()

    /// For good, in a process that exits with the test.
    static func install() throws {
        guard !sl_is_simulated() else { return }
        _ = shared
        try #require(
            ch_install { job, delay, isMain in
                guard let job, !isMain else { return false }
                // A job is a pointer to the runtime's object, in C as in Swift.
                OwnPool.shared.add(unsafeBitCast(job, to: UnownedJob.self), after: delay)
                return true
            }, "the concurrency runtime has no hooks")
    }

    private init() {
        for _ in 0..<2 { start { self.executor.run(on: globalConcurrentExecutor.asUnownedTaskExecutor()) } }
    }

    private func add(_ job: UnownedJob, after delay: UInt64) {
        guard delay > 0 else { return executor.enqueue(ExecutorJob(job)) }
        start {
            var time = timespec(tv_sec: Int(delay / 1_000_000_000), tv_nsec: Int(delay % 1_000_000_000))
            // By time: the job is one of Task.sleep.
            nanosleep(&time, nil)
            self.executor.enqueue(ExecutorJob(job))
        }
    }

    private func start(_ body: @escaping @Sendable () -> Void) {
        do { pthread_detach(try startThread(body)) } catch { fatalError("\(error)") }
    }
}
