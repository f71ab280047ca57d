import CKernel
import Testing
import UnitSupport

@testable import AIOCore

/// What a turn takes of other operations while some wait (`EngineQueuePacing`). Nops complete in the turn that takes them.
@Suite struct PacingTests {
    private static let readContext: UInt = 1000

    /// A queue with so many nops staged, and before them, if asked for, a read of the pipe.
    private func makeQueue(
        _ engine: EngineKind, reading pipe: DescriptorPair?, nops: Int = 20
    ) throws -> (TestedQueue, [Token]) {
        let queue = try TestedQueue(engine, queueDepth: 32)
        if let pipe {
            let read = AIOCore.Operation.read(
                Transfer(Descriptor(pipe.first, kind: .stream), queue.memory, count: 1, offset: 0))
            queue.stage(try queue.prepare(read, context: Self.readContext))
            queue.turn()
        }
        let tokens = try (0..<nops).map { try queue.prepare(.nop, context: UInt($0)) }
        for token in tokens { queue.stage(token) }
        return (queue, tokens)
    }

    @Test(arguments: EngineQueueTests.engines)
    func withoutWaitsATurnTakesEverything(_ engine: EngineKind) throws {
        let (queue, _) = try makeQueue(engine, reading: nil)
        queue.turn()
        #expect(queue.drain().count == 20)
    }

    @Test(arguments: EngineQueueTests.engines)
    func besideAWaitEachTurnTakesEight(_ engine: EngineKind) throws {
        let pipe = DescriptorPair.pipe()
        let (queue, _) = try makeQueue(engine, reading: pipe)
        var counts: [Int] = []
        var contexts: [UInt] = []
        for _ in 0..<4 {
            queue.turn()
            let deliveries = queue.drain()
            counts.append(deliveries.count)
            contexts += deliveries.map(\.context)
        }
        #expect(counts == [8, 8, 4, 0])
        #expect(contexts == Array(0..<20))
        withExtendedLifetime(pipe) {}
    }

    @Test(arguments: EngineQueueTests.engines)
    func afterAWaitThatHasComeATurnTakesOne(_ engine: EngineKind) throws {
        let pipe = DescriptorPair.pipe()
        let (queue, _) = try makeQueue(engine, reading: pipe, nops: 0)
        let poll = AIOCore.Operation.poll(Descriptor(pipe.second, kind: .stream), events: CK_POLLOUT)
        queue.stage(try queue.prepare(poll))
        var hasCome = false
        #expect(
            eventually {
                queue.turn(); hasCome = hasCome || !queue.drain().isEmpty; return hasCome
            })
        for index in 0..<12 { queue.stage(try queue.prepare(.nop, context: UInt(index))) }
        queue.turn()
        #expect(queue.drain().map(\.context) == [0])
        queue.turn()
        #expect(queue.drain().map(\.context) == Array(1..<9))
    }

    @Test(arguments: EngineQueueTests.engines)
    func submitTakesEverything(_ engine: EngineKind) throws {
        let pipe = DescriptorPair.pipe()
        let (queue, _) = try makeQueue(engine, reading: pipe)
        queue.submit()
        #expect(queue.drain().count == 20)
        withExtendedLifetime(pipe) {}
    }

    /// Of whoever waits for the descriptor alone no turns are to be expected.
    @Test(arguments: EngineQueueTests.engines)
    func withAnExportedDescriptorNothingIsHeld(_ engine: EngineKind) throws {
        let pipe = DescriptorPair.pipe()
        let (queue, _) = try makeQueue(engine, reading: pipe)
        #expect(queue.exportDescriptor() >= 0)
        #expect(queue.drain().count == 20)
        for _ in 0..<20 { queue.stage(try queue.prepare(.nop)) }
        queue.turn()
        #expect(queue.drain().count == 20)
        withExtendedLifetime(pipe) {}
    }

    @Test(arguments: EngineQueueTests.engines)
    func waitBringsAllThatIsHeld(_ engine: EngineKind) throws {
        let pipe = DescriptorPair.pipe()
        let (queue, _) = try makeQueue(engine, reading: pipe)
        #expect(queue.wait(atLeast: 20, until: Kernel.now() + 20_000_000_000) == 20)
        #expect(queue.drain().count == 20)
        withExtendedLifetime(pipe) {}
    }

    @Test(arguments: EngineQueueTests.engines)
    func whatIsHeldCanBeCancelled(_ engine: EngineKind) throws {
        let pipe = DescriptorPair.pipe()
        let (queue, tokens) = try makeQueue(engine, reading: pipe)
        queue.requestCancel(tokens[3])
        queue.requestCancel(tokens[19])
        #expect(queue.drain().map(\.context) == [3, 19])
        // The place of one that was cancelled is another's, and the old one is not mistaken for it.
        queue.stage(try queue.prepare(.nop, context: 20))
        var results: [UInt: Int32] = [:]
        for _ in 0..<4 {
            queue.turn()
            for delivery in queue.drain() { results[delivery.context] = delivery.completion.result }
        }
        #expect(results.count == 19 && results[20] == 0 && results.values.allSatisfy { $0 == 0 })
        withExtendedLifetime(pipe) {}
    }

    @Test(arguments: EngineQueueTests.engines)
    func theDeadlineOfWhatIsHeldPasses(_ engine: EngineKind) throws {
        let pipe = DescriptorPair.pipe()
        let (queue, _) = try makeQueue(engine, reading: pipe, nops: 8)
        queue.stage(try queue.prepare(.nop, context: 8, deadline: 1))
        queue.turn()
        let late = try #require(queue.drain().first { $0.context == 8 })
        #expect(late.completion.result == -ECANCELED)
        #expect(late.completion.flags.contains(.deadlinePassed))
        withExtendedLifetime(pipe) {}
    }
}
