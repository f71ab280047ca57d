import CKernel
import Testing
import UnitSupport

@testable import AIOCore

/// How many other operations a turn admits while messages arrive (`Pace`). Nops complete in the turn that
/// admits them.
@Suite struct PacingTests {
    /// A queue with staged nops. If `afterMessage`, a message arrived before them, and the turns that count as its
    /// traffic have passed.
    private func makeQueue(_ engine: EngineKind, afterMessage: Bool, nops: Int = 20) throws -> (TestedQueue, [Token]) {
        let queue = try TestedQueue(engine, queueDepth: 32)
        if afterMessage {
            try bringMessage(queue)
            queue.turn()
            queue.turn()
        }
        let tokens = try (0..<nops).map { try queue.prepare(.nop, context: UInt($0)) }
        for token in tokens { queue.stage(token) }
        return (queue, tokens)
    }

    /// Completes a poll of a pipe for POLLOUT, which is ready at once.
    private func bringMessage(_ queue: TestedQueue) throws {
        let pipe = DescriptorPair.pipe()
        let poll = AIOCore.Operation.poll(Descriptor(pipe.second, kind: .stream), events: CK_POLLOUT)
        queue.stage(try queue.prepare(poll))
        #expect(queue.wait(atLeast: 1, until: Kernel.now() + 20_000_000_000) == 1)
        #expect(queue.drain().count == 1)
    }

    @Test(arguments: EngineQueueTests.engines)
    func withoutMessagesATurnTakesEverything(_ engine: EngineKind) throws {
        let (queue, _) = try makeQueue(engine, afterMessage: false)
        queue.turn()
        #expect(queue.drain().count == 20)
    }

    /// Whoever waits for the queue in a loop of his own turns it then.
    @Test(arguments: EngineQueueTests.engines)
    func whatIsHeldBackHasATimeAtWhichItGoesOn(_ engine: EngineKind) throws {
        let (queue, _) = try makeQueue(engine, afterMessage: true)
        queue.turn()
        #expect(queue.drain().count == 8)
        let now = Kernel.now()
        let next = queue.nextDeadline
        #expect(next >= now && next <= Kernel.now() + Pace.patience)
        let (unheld, _) = try makeQueue(engine, afterMessage: false)
        unheld.turn()
        #expect(unheld.nextDeadline == .never)
    }

    @Test(arguments: EngineQueueTests.engines)
    func aTurnSoonAfterAMessageTakesEight(_ engine: EngineKind) throws {
        let (queue, _) = try makeQueue(engine, afterMessage: true)
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
    }

    @Test(arguments: EngineQueueTests.engines)
    func theTurnsRightAfterAMessageTakeNothing(_ engine: EngineKind) throws {
        let queue = try TestedQueue(engine, queueDepth: 32)
        try bringMessage(queue)
        for index in 0..<12 { queue.stage(try queue.prepare(.nop, context: UInt(index))) }
        for _ in 0..<2 {
            queue.turn()
            #expect(queue.drain().isEmpty)
        }
        queue.turn()
        #expect(queue.drain().map(\.context) == Array(0..<8))
    }

    @Test(arguments: EngineQueueTests.engines)
    func aTurnTakesOneForEachSeventeenMessages(_ engine: EngineKind) throws {
        let pipe = DescriptorPair.pipe()
        let queue = try TestedQueue(engine, queueDepth: 64)
        let poll = AIOCore.Operation.poll(Descriptor(pipe.second, kind: .stream), events: CK_POLLOUT)
        for _ in 0..<51 { queue.stage(try queue.prepare(poll)) }
        #expect(queue.wait(atLeast: 51, until: Kernel.now() + 20_000_000_000) == 51)
        #expect(queue.drain().count == 51)
        for index in 0..<12 { queue.stage(try queue.prepare(.nop, context: UInt(index))) }
        queue.turn()
        #expect(queue.drain().map(\.context) == [0, 1, 2])
    }

    /// A sleep while operations are held adds to their time budget. Without a budget the turn would admit eight.
    @Test(arguments: EngineQueueTests.engines)
    func aSleepIsTimeForWhatIsHeld(_ engine: EngineKind) throws {
        // If the thread was off its CPU, the sleep earned a larger budget; so the measurement is repeated.
        let isEarned = try (0..<100).contains { _ in try (1..<8).contains(countAfterSleep(engine)) }
        #expect(isEarned)
    }

    /// The number of nops that the turn after a sleep admits.
    private func countAfterSleep(_ engine: EngineKind) throws -> Int {
        let queue = try TestedQueue(engine, queueDepth: 32)
        try bringMessage(queue)
        // Removes what would end the sleep immediately.
        queue.turn(until: 0)
        for _ in 0..<12 { queue.stage(try queue.prepare(.nop)) }
        queue.turn(until: Kernel.now() + 20_000_000_000)
        #expect(queue.drain().isEmpty)
        queue.turn()
        return queue.drain().count
    }

    /// This includes completions with `more`.
    @Test(arguments: EngineQueueTests.engines)
    func eachCompletionOfARepeatingOperationIsAMessage(_ engine: EngineKind) throws {
        let pipe = DescriptorPair.pipe()
        let queue = try TestedQueue(engine, queueDepth: 32)
        let poll = AIOCore.Operation.pollEach(Descriptor(pipe.second, kind: .stream), events: CK_POLLOUT)
        queue.stage(try queue.prepare(poll, context: 100))
        #expect(queue.wait(atLeast: 1, until: Kernel.now() + 20_000_000_000) == 1)
        #expect(queue.popReady()?.completion.flags.contains(.more) == true)
        for index in 0..<12 { queue.stage(try queue.prepare(.nop, context: UInt(index))) }
        queue.turn()
        #expect(queue.drain().filter { $0.context < 100 }.isEmpty)
    }

    /// Room to write is not a message.
    @Test(arguments: EngineQueueTests.engines)
    func besideWritesATurnTakesEverything(_ engine: EngineKind) throws {
        let pipe = DescriptorPair.pipe()
        let queue = try TestedQueue(engine, queueDepth: 32)
        var byte: UInt8 = 7
        try withUnsafeMutablePointer(to: &byte) { byte in
            let transfer = Transfer(
                Descriptor(pipe.second, kind: .stream), byte, count: 1, offset: Transfer.currentPosition)
            queue.stage(try queue.prepare(.write(transfer)))
            #expect(queue.wait(atLeast: 1, until: Kernel.now() + 20_000_000_000) == 1)
            #expect(queue.drain().map(\.completion.result) == [1])
        }
        for _ in 0..<20 { queue.stage(try queue.prepare(.nop)) }
        queue.turn()
        #expect(queue.drain().count == 20)
    }

    /// A caller that drains in a separate turn does not get a second share by that.
    @Test(arguments: EngineQueueTests.engines)
    func aTurnTakesNothingWhileThereIsSomethingToDrain(_ engine: EngineKind) throws {
        let (queue, _) = try makeQueue(engine, afterMessage: true)
        queue.turn()
        queue.turn()
        #expect(queue.drain().count == 8)
        queue.turn()
        #expect(queue.drain().count == 8)
    }

    @Test(arguments: EngineQueueTests.engines)
    func afterManyTurnsWithoutAMessageATurnTakesEverything(_ engine: EngineKind) throws {
        let (queue, _) = try makeQueue(engine, afterMessage: true, nops: 0)
        for _ in 0..<64 { queue.turn() }
        for _ in 0..<20 { queue.stage(try queue.prepare(.nop)) }
        queue.turn()
        #expect(queue.drain().count == 20)
    }

    /// The completion of a timer is not a message.
    @Test(arguments: EngineQueueTests.engines)
    func besideATimerATurnTakesEverything(_ engine: EngineKind) throws {
        let queue = try TestedQueue(engine, queueDepth: 32)
        queue.stage(try queue.prepare(.timeout(deadline: 0)))
        #expect(queue.wait(atLeast: 1, until: Kernel.now() + 20_000_000_000) == 1)
        #expect(queue.drain().count == 1)
        for _ in 0..<20 { queue.stage(try queue.prepare(.nop)) }
        queue.turn()
        #expect(queue.drain().count == 20)
    }

    @Test(arguments: EngineQueueTests.engines)
    func submitTakesEverything(_ engine: EngineKind) throws {
        let (queue, _) = try makeQueue(engine, afterMessage: true)
        queue.submit()
        #expect(queue.drain().count == 20)
    }

    /// A caller that only waits for the descriptor takes no turns.
    @Test(arguments: EngineQueueTests.engines)
    func withAnExportedDescriptorNothingIsHeld(_ engine: EngineKind) throws {
        let (queue, _) = try makeQueue(engine, afterMessage: true)
        #expect(queue.exportDescriptor() >= 0)
        #expect(queue.drain().count == 20)
        for _ in 0..<20 { queue.stage(try queue.prepare(.nop)) }
        queue.turn()
        #expect(queue.drain().count == 20)
    }

    @Test(arguments: EngineQueueTests.engines)
    func waitBringsAllThatIsHeld(_ engine: EngineKind) throws {
        let (queue, _) = try makeQueue(engine, afterMessage: true)
        #expect(queue.wait(atLeast: 20, until: Kernel.now() + 20_000_000_000) == 20)
        #expect(queue.drain().count == 20)
    }

    @Test(arguments: EngineQueueTests.engines)
    func whatIsHeldCanBeCancelled(_ engine: EngineKind) throws {
        let (queue, tokens) = try makeQueue(engine, afterMessage: true)
        queue.requestCancel(tokens[3])
        queue.requestCancel(tokens[19])
        #expect(queue.drain().map(\.context) == [3, 19])
        // Another operation reuses the slot of a cancelled one, and must not be mistaken for it.
        queue.stage(try queue.prepare(.nop, context: 20))
        var results: [UInt: Int32] = [:]
        for _ in 0..<4 {
            queue.turn()
            for delivery in queue.drain() { results[delivery.context] = delivery.completion.result }
        }
        #expect(results.count == 19 && results[20] == 0 && results.values.allSatisfy { $0 == 0 })
    }

    @Test(arguments: EngineQueueTests.engines)
    func theDeadlineOfWhatIsHeldPasses(_ engine: EngineKind) throws {
        let (queue, _) = try makeQueue(engine, afterMessage: true, nops: 8)
        queue.stage(try queue.prepare(.nop, context: 8, deadline: 1))
        queue.turn()
        let late = try #require(queue.drain().first { $0.context == 8 })
        #expect(late.completion.result == -ECANCELED)
        #expect(late.completion.flags.contains(.deadlinePassed))
    }
}
