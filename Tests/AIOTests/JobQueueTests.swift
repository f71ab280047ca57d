import Testing
import UnitSupport

@testable import AIO
@testable import AIOCore

@Suite struct JobQueueTests {
    /// Keeps the jobs of tasks that prefer it until `runOne` runs them.
    private final class Collector: TaskExecutor, Sendable {
        private struct State: ~Copyable, @unchecked Sendable {
            // @unchecked: a queue of jobs, which are Sendable, and memory that it owns.
            var jobs = JobQueue()
        }
        private let state = Guarded(State())

        func enqueue(_ job: consuming ExecutorJob) {
            let job = UnownedJob(job)
            state.withLock { $0.jobs.append(job) }
        }

        var count: Int { state.withLock { $0.jobs.count } }

        /// Runs the oldest job. False if there is none.
        func runOne() -> Bool {
            guard let job = state.withLock({ $0.jobs.popFirst() }) else { return false }
            job.runSynchronously(on: asUnownedTaskExecutor())
            return true
        }
    }

    @Test func anEmptyQueueHasNoJob() {
        #expect(!Collector().runOne())
    }

    /// More jobs than the initial capacity, with the head in the middle of the memory when it grows.
    @Test(arguments: [0, 1, 40, 63])
    func jobsLeaveInTheOrderInWhichTheyCameHoweverManyThereAre(_ taken: Int) async {
        let collector = Collector()
        let order = Order()
        func add(_ names: Range<Int>) -> [Task<Void, Never>] {
            names.map { name in Task(executorPreference: collector) { order.note("\(name)") } }
        }
        var tasks = add(0..<64)
        for _ in 0..<taken { #expect(collector.runOne()) }
        tasks += add(64..<300)
        #expect(collector.count == 300 - taken)
        while collector.runOne() {}
        for task in tasks { await task.value }
        #expect(order.notes == (0..<300).map { "\($0)" })
        #expect(collector.count == 0)
    }
}
