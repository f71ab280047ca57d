import CKernel
import Glibc
import Testing
import UnitSupport

@testable import AIOCore

/// A ring whose entries the kernel refuses to consume for a while (EAGAIN, EBUSY), and that fills up meanwhile.
///
/// The refusal comes from a seccomp(2) filter of one thread. The queue then goes on with another thread, which has
/// none.
struct RefusedEntriesTests {
    private static let hasRings = (try? EngineQueue(.ioUring, EngineConfiguration(queueDepth: 1))) != nil

    /// A queue of one operation, and room for waits; its ring has four entries.
    private static func makeQueue() throws -> TestedQueue {
        try TestedQueue(.ioUring, queueDepth: 1) { $0.waitingLimit = 32 }
    }

    @Test(.enabled(if: hasRings, "no io_uring"), arguments: [EAGAIN, EBUSY])
    func aCancelWithoutRoomIsRequestedLater(_ errno: Int32) throws {
        let queue = try Self.makeQueue()
        let pipe = DescriptorPair.pipe()
        let target = try queue.prepare(.poll(Descriptor(pipe.first), events: CK_POLLIN))
        queue.stage(target)
        queue.submit()
        let fillers = try polls(8, of: pipe, queue)
        onRefusingThread(errno) {
            for token in fillers { queue.stage(token) }
            queue.requestCancel(target)
        }
        #expect(queue.wait(atLeast: 1, until: hang) == 1)
        let ended = queue.drain().map(\.completion)
        #expect(ended.map(\.token) == [target] && ended.map(\.result) == [-ECANCELED], "\(ended)")
        // The fillers wait still.
        pipe.send([1])
        expectAllEnd(fillers, queue)
    }

    @Test(.enabled(if: hasRings, "no io_uring"), arguments: [EAGAIN, EBUSY])
    func anOperationWithoutRoomIsExecutedLater(_ errno: Int32) throws {
        let queue = try Self.makeQueue()
        let pipe = DescriptorPair.pipe()
        let tokens = try polls(16, of: pipe, queue)
        onRefusingThread(errno) { for token in tokens { queue.stage(token) } }
        queue.turn()
        #expect(queue.drain().isEmpty)
        pipe.send([1])
        expectAllEnd(tokens, queue)
    }

    /// Work for a worker makes the engine arm its wake-up, which has no room either.
    @Test(.enabled(if: hasRings, "no io_uring"), arguments: [EAGAIN, EBUSY])
    func aWakeUpWithoutRoomIsArmedLater(_ errno: Int32) throws {
        let queue = try Self.makeQueue()
        let pipe = DescriptorPair.pipe()
        let polls = try self.polls(8, of: pipe, queue)
        // A ring has no such operation.
        let call = BlockingCall(.fcntl, Int(pipe.first), Int(F_GETFD))
        let work = try queue.prepare(.call(call))
        onRefusingThread(errno) {
            for token in polls { queue.stage(token) }
            queue.stage(work)
        }
        #expect(queue.wait(atLeast: 1, until: hang) == 1)
        #expect(queue.drain().map(\.completion.token) == [work])
        pipe.send([1])
        expectAllEnd(polls, queue)
    }

    private func polls(_ count: Int, of pipe: DescriptorPair, _ queue: TestedQueue) throws -> [Token] {
        try (0..<count).map { _ in try queue.prepare(.poll(Descriptor(pipe.first), events: CK_POLLIN)) }
    }

    /// The pipe has become readable: all of them end.
    private func expectAllEnd(_ polls: [Token], _ queue: TestedQueue) {
        #expect(queue.wait(atLeast: polls.count, until: hang) == polls.count)
        #expect(queue.drain().map(\.completion.result) == polls.map { _ in Int32(CK_POLLIN) })
    }

    /// When a wait has taken so long that it would never end.
    private var hang: Nanoseconds { Kernel.now() + 20_000_000_000 }
}
