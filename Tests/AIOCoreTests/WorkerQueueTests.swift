import Testing
import UnitSupport

@testable import AIOCore

@Suite struct WorkerQueueTests {
    /// The pool would complete them in batches of which the client learns nothing.
    @Test func readsAndDirectWritesAreRefused() {
        let file = TemporaryFile([1])
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: 1)
        defer { memory.deallocate() }
        let queue = WorkerQueue(capacity: 2, limit: 1, SilentClient())
        let buffered = Descriptor(file.descriptor, kind: .buffered)
        let direct = Descriptor(file.descriptor, kind: .direct)
        #expect(!queue.carry(.read(Transfer(buffered, memory, count: 1, offset: 0)), context: 1))
        #expect(!queue.carry(.write(Transfer(direct, memory, count: 1, offset: 0)), context: 2))
        #expect(!queue.carry(.sync(buffered, .full), context: 3))
    }
}

private final class SilentClient: LoopClient {
    func deliver(_ deliveries: UnsafeBufferPointer<Delivery>) {
        Issue.record("\(deliveries.count) operations were carried out")
    }

    func runJobs() -> Bool { false }
    func hasJobs() -> Bool { false }
    var nextDeadline: Nanoseconds { .never }
    func expire(_ now: Nanoseconds) {}
    func loopEnded() {}
}
