import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// `IOQueue`: prepare, submit, wait, drain.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct QueueTests {
    @Test(arguments: engines)
    func waitCountsWhatWasReadyBefore(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                for context in UInt(0)..<3 { try queue.prepare(.nop, context: context) }
                #expect(try queue.wait(atLeast: 3) == 3)
                // These three suffice: a fourth would never come.
                let memory = Memory(count: 1)
                let token = try queue.prepare(.read(memory.transfer(ends.reading)))
                #expect(try queue.wait(atLeast: 3) == 3)
                #expect(queue.completions().map(\.context) == [0, 1, 2])
                queue.requestCancel(token)
                try queue.waitPatiently()
                #expect(queue.completions() == [Drained(token, -ECANCELED, 0)])
            }
        }
    }

    @Test(arguments: engines)
    func waitReturnsWhenNothingIsInFlight(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            #expect(try queue.wait(atLeast: 5) == 0)
            try queue.prepare(.nop)
            // More than are in flight: the wait ends when all have completed.
            #expect(try queue.wait(atLeast: 5) == 1)
            #expect(queue.completions().count == 1)
        }
    }

    @Test(arguments: engines)
    func waitEndsAtItsDeadlineAndTheOperationsGoOn(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                let memory = Memory(count: 1)
                try queue.prepare(.read(memory.transfer(ends.reading)))
                for deadline in [Deadline.soon, .after(.seconds(-1))] {
                    #expect(try queue.wait(deadline: deadline) == 0)
                    #expect(queue.inFlightCount == 1)
                }
                ends.put([3])
                #expect(try queue.wait() == 1)
                #expect(queue.completions().map(\.result) == [1])
                #expect(memory.bytes == [3])
            }
        }
    }

    @Test(arguments: engines)
    func contextsComeBackWithTheirOwnCompletions(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("context", [UInt8](repeating: 1, count: 1000)))
            defer { closeDescriptor(descriptor) }
            try await withQueue(engine) { queue in
                let memory = (0..<50).map { Memory(count: $0 + 1) }
                var expected: [Token: UInt] = [:]
                for (index, memory) in memory.enumerated() {
                    let context = UInt.max - UInt(index)
                    expected[try queue.prepare(.read(memory.transfer(descriptor)), context: context)] = context
                }
                try queue.waitPatiently(atLeast: 50)
                let drained = queue.completions()
                #expect(drained.count == 50)
                for completion in drained {
                    #expect(completion.context == expected[completion.token])
                    #expect(completion.result == Int32(UInt.max - completion.context) + 1)
                }
            }
        }
    }

    @Test(arguments: engines)
    func completionsAreDrainedInTheOrderInWhichTheyCame(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { first in
                try await Ends.with { second in
                    let memory = [Memory(count: 1), Memory(count: 1)]
                    try queue.prepare(.read(memory[0].transfer(first.reading)), context: 1)
                    try queue.prepare(.read(memory[1].transfer(second.reading)), context: 2)
                    try queue.submit()
                    second.put([1])
                    try queue.waitPatiently(atLeast: 1)
                    first.put([1])
                    try queue.waitPatiently(atLeast: 2)
                    #expect(queue.completions().map(\.context) == [2, 1])
                }
            }
        }
    }

    @Test(arguments: engines)
    func aDrainMayPrepareTheNextOperation(_ engine: EngineKind) async throws {
        try await withQueue(engine, { $0.queueDepth = 2 }) { queue in
            try queue.prepare(.nop, context: 0)
            var seen: [UInt] = []
            while seen.count < 20 {
                try queue.waitPatiently()
                queue.drain { _, context in
                    seen.append(context)
                    if context < 19 { _ = try? queue.prepare(.nop, context: context + 1) }
                }
            }
            #expect(seen == Array(0..<20))
        }
    }

    @Test(arguments: engines)
    func submitReturnsWhileTheOperationWaits(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                let memory = Memory(count: 1)
                try queue.prepare(.read(memory.transfer(ends.reading)))
                try queue.submit()
                #expect(queue.inFlightCount == 1)
                #expect(queue.completions().isEmpty)
                ends.put([1])
                while queue.completions().isEmpty { sched_yield() }
            }
        }
    }

    @Test(arguments: engines)
    func aQueueThatIsDroppedEndsWhatItHasInFlight(_ engine: EngineKind) async throws {
        try await Ends.with { ends in
            let memory = Memory(count: 1)
            do {
                var configuration = IOQueue.Configuration()
                configuration.engine = .forced(engine)
                let queue = try IOQueue(configuration)
                try queue.prepare(.read(memory.transfer(ends.reading)))
                try queue.prepare(.timeout(deadline: .max))
                try queue.prepare(.poll(Descriptor(ends.reading), events: CK_POLLIN))
                try queue.submit()
                try queue.prepare(.nop)
            }
            // The read was ended with the queue, so it takes no byte.
            ends.put([9])
            #expect(ends.get(1) == [9])
            #expect(memory.bytes == [0])
        }
    }

    // MARK: blockingPerform

    @Test(arguments: engines)
    func blockingPerformReturnsTheResultOrThrows(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            let result = try queue.blockingPerform(.nop)
            #expect(result == 0)
            await expectError(.badDescriptor) { try queue.blockingPerform(.sync(Descriptor(-1), .full)) }
            let deadline = monotonicNow() + 1_000_000
            _ = try queue.blockingPerform(.timeout(deadline: deadline))
            #expect(monotonicNow() >= deadline)
        }
    }

    @Test(arguments: engines)
    func blockingPerformDoesNotMixWithOthersInFlight(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try queue.prepare(.nop)
            await expectError(.limitReached) { try queue.blockingPerform(.nop) }
            try queue.waitPatiently()
            await expectError(.limitReached) { try queue.blockingPerform(.nop) }
            #expect(queue.completions().count == 1)
            #expect(try queue.blockingPerform(.nop) == 0)
        }
    }

    // MARK: Several queues

    @Test(arguments: engines)
    func waitForAnyTellsWhichQueuesHaveSomething(_ engine: EngineKind) async throws {
        try await withQueue(engine) { first in
            try await withQueue(engine) { second in
                try await Ends.with { ends in
                    let memory = Memory(count: 1)
                    #expect(try IOQueue.wait(forAnyOf: [first, second]) == [])
                    try first.prepare(.read(memory.transfer(ends.reading)))
                    #expect(try IOQueue.wait(forAnyOf: [first, second], deadline: .soon) == [])
                    try second.prepare(.nop)
                    #expect(try IOQueue.wait(forAnyOf: [first, second]) == [1])
                    ends.put([1])
                    _ = second.completions()
                    #expect(try IOQueue.wait(forAnyOf: [first, second]) == [0])
                    #expect(first.completions().map(\.result) == [1])
                }
            }
        }
    }

    @Test(arguments: engines)
    func waitForAnyHeedsTimeoutsAndDeadlinesOfOperations(_ engine: EngineKind) async throws {
        try await withQueue(engine) { first in
            try await withQueue(engine) { second in
                try await Ends.with { ends in
                    let memory = Memory(count: 1)
                    let never = try first.prepare(.timeout(deadline: .max))
                    try second.prepare(.read(memory.transfer(ends.reading)), deadline: .soon)
                    #expect(try IOQueue.wait(forAnyOf: [first, second]) == [1])
                    #expect(second.completions().map(\.result) == [-ECANCELED])
                    try second.prepare(.timeout(deadline: monotonicNow() + 1_000_000))
                    #expect(try IOQueue.wait(forAnyOf: [first, second]) == [1])
                    #expect(second.completions().map(\.result) == [0])
                    first.requestCancel(never)
                    try first.waitPatiently()
                    #expect(first.completions().map(\.result) == [-ECANCELED])
                }
            }
        }
    }
}
