import Synchronization
import Testing
import UnitSupport

@testable import AIOCore

/// The loop's thread without a runtime.
@Suite struct LoopTests {
    /// Among other moments, between the loop's last check and its sleep. To hit that takes many attempts, each some
    /// nanoseconds later than the one before.
    @Test(arguments: [false, true])
    func aShutdownIsHeardWheneverItComes(_ cancelling: Bool) throws {
        for round in 0..<5000 {
            let client = IdleClient()
            let loop = try Loop.start(.threads, EngineConfiguration(queueDepth: 1), client)
            client.addJob()
            loop.wakeIfAsleep()
            try #require(eventually { client.jobCount == 0 }, "round \(round)")
            for _ in 0..<round % 50 { client.pause() }
            loop.beginShutdown(cancelling: cancelling)
            try #require(eventually { client.hasEnded }, "round \(round)")
        }
    }
}

/// A client with almost nothing to do.
private final class IdleClient: LoopClient {
    private let ended = Atomic(false)
    private let jobs = Atomic(0)
    private let pauses = Atomic(0)

    var hasEnded: Bool { ended.load(ordering: .acquiring) }

    /// Jobs that the loop has not run yet.
    var jobCount: Int { jobs.load(ordering: .relaxed) }

    /// Sequentially consistent with the loop's announcement that it falls asleep.
    func addJob() { jobs.store(1, ordering: .sequentiallyConsistent) }

    /// Spends some nanoseconds.
    func pause() { pauses.wrappingAdd(1, ordering: .relaxed) }

    func deliver(_ deliveries: UnsafeBufferPointer<Delivery>) {}
    func runJobs() -> Bool {
        jobs.store(0, ordering: .relaxed)
        return false
    }
    func hasJobs() -> Bool { jobs.load(ordering: .sequentiallyConsistent) > 0 }
    var nextDeadline: Nanoseconds { .never }
    func expire(_ now: Nanoseconds) {}
    func loopEnded() { ended.store(true, ordering: .releasing) }
}
