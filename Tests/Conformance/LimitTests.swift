import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// At the limit a caller waits its turn, or gets an error if it chose not to wait. Nothing is dropped.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct LimitTests {
    @Test(arguments: engines, [1, 3, 32])
    func moreOperationsThanTheQueueDepthWaitTheirTurn(_ engine: EngineKind, _ depth: Int) async throws {
        try await withScratch { scratch in
            let content = KnownContent(seed: 2)
            let descriptor = try openDescriptor(try scratch.file("depth", content.bytes(count: 1 << 16, at: 0)))
            defer { closeDescriptor(descriptor) }
            try await withRuntime(engine, { $0.queueDepth = depth }) { runtime in
                try await withThrowingTaskGroup(of: Int64?.self) { group in
                    for index in 0..<500 {
                        group.addTask {
                            let memory = Memory(count: 128)
                            let offset = Int64(index) * 128
                            _ = try await runtime.perform(.read(memory.transfer(descriptor, at: offset)))
                            return content.mismatch(memory.bytes, at: offset)
                        }
                    }
                    for try await mismatch in group { #expect(mismatch == nil) }
                }
                #expect(runtime.inFlightCount <= depth)
            }
        }
    }

    @Test(arguments: engines)
    func callersThatWaitAreAdmittedInTheOrderTheyCame(_ engine: EngineKind) async throws {
        try await withRuntime(engine, { $0.queueDepth = 1 }) { runtime in
            try await Ends.with { ends in
                let (reading, writing) = (ends.reading, ends.writing)
                let blocker = Task {
                    let memory = Memory(count: 1)
                    return try await runtime.perform(.read(memory.transfer(reading)))
                }
                try await eventually { runtime.inFlightCount == 1 }
                // On a loop, tasks start in the order of their creation.
                let writes = (UInt8(0)..<20).map { byte in
                    Task(executorPreference: runtime.loops[0]) {
                        let memory = Memory([byte])
                        return try await runtime.perform(.write(memory.transfer(writing)))
                    }
                }
                ends.put([99])
                #expect(try await blocker.value == 1)
                for write in writes { #expect(try await write.value == 1) }
                #expect(ends.get(100) == Array(0..<20))
            }
        }
    }

    @Test(arguments: engines)
    func aRuntimeThatShallNotWaitSaysThatTheLimitIsReached(_ engine: EngineKind) async throws {
        try await withRuntime(
            engine,
            {
                $0.queueDepth = 2; $0.atLimit = .fail
            }
        ) { runtime in
            try await Ends.with { ends in
                let reading = ends.reading
                let reads = (0..<2).map { _ in
                    Task {
                        let memory = Memory(count: 1)
                        return try await runtime.perform(.read(memory.transfer(reading)))
                    }
                }
                try await eventually { runtime.inFlightCount == 2 }
                await expectError(.limitReached) { try await runtime.perform(.nop) }
                ends.put([1])
                ends.put([2])
                for read in reads { #expect(try await read.value == 1) }
                try await eventually { runtime.inFlightCount == 0 }
                #expect(try await runtime.perform(.nop) == 0)
            }
        }
    }

    @Test(arguments: engines)
    func whatWaitsForOthersHasPlacesOfItsOwn(_ engine: EngineKind) async throws {
        try await withRuntime(
            engine,
            {
                $0.queueDepth = 1; $0.waitingLimit = 2
            }
        ) { runtime in
            try await Ends.with { ends in
                let reads = (0..<3).map { _ in readOne(.classify(ends.reading), runtime) }
                // The third read waits for a slot, and delays only others that wait for one.
                try await eventually { runtime.inFlightCount == 2 }
                for _ in 0..<10 { #expect(try await runtime.perform(.nop) == 0) }
                await expectError(.deadlineExceeded) {
                    try await runtime.perform(.timeout(deadline: .max), deadline: .soon)
                }
                #expect(runtime.inFlightCount == 2)
                for byte in 0..<3 { ends.put([UInt8(byte)]) }
                for read in reads { #expect(try await read.value == 1) }
            }
        }
    }

    @Test(arguments: engines)
    func thousandsWaitAtOnceBesideAShortQueue(_ engine: EngineKind) async throws {
        try await withRuntime(
            engine,
            {
                $0.queueDepth = 1; $0.waitingLimit = 3000
            }
        ) { runtime in
            try await Ends.with { ends in
                let reading = Descriptor.classify(ends.reading)
                let reads = (0..<3000).map { _ in readOne(reading, runtime) }
                try await eventually { runtime.inFlightCount == 3000 }
                #expect(try await runtime.perform(.nop) == 0)
                for read in reads[..<1000] { read.cancel() }
                for read in reads[..<1000] { await expectError(.cancelled) { try await read.value } }
                for byte in 0..<2000 { ends.put([UInt8(truncatingIfNeeded: byte)]) }
                for read in reads[1000...] { #expect(try await read.value == 1) }
            }
        }
    }

    @Test(arguments: engines)
    func withoutPlacesOfTheirOwnWaitsTakeThoseOfAll(_ engine: EngineKind) async throws {
        try await withRuntime(
            engine,
            {
                $0.queueDepth = 2; $0.waitingLimit = 0; $0.atLimit = .fail
            }
        ) { runtime in
            try await Ends.with { ends in
                let reads = (0..<2).map { _ in readOne(.classify(ends.reading), runtime) }
                try await eventually { runtime.inFlightCount == 2 }
                await expectError(.limitReached) { try await runtime.perform(.nop) }
                for read in reads { read.cancel() }
                for read in reads { await expectError(.cancelled) { try await read.value } }
            }
        }
    }

    private func readOne(_ descriptor: Descriptor, _ runtime: IORuntime) -> Task<Int32, any Error> {
        Task {
            let memory = Memory(count: 1)
            let transfer = Transfer(descriptor, memory.base, count: 1, offset: Transfer.currentPosition)
            return try await runtime.perform(.read(transfer))
        }
    }

    @Test(arguments: engines, [1, 7])
    func aFullQueueSaysThatTheLimitIsReached(_ engine: EngineKind, _ depth: Int) async throws {
        try await withQueue(engine, { $0.queueDepth = depth }) { queue in
            for round in 0..<3 {
                for _ in 0..<depth { try queue.prepare(.nop) }
                await expectError(.limitReached) { try queue.prepare(.nop) }
                try queue.wait(atLeast: depth)
                // A completed operation occupies its slot until it is drained.
                await expectError(.limitReached) { try queue.prepare(.nop) }
                #expect(queue.completions().count == depth, "round \(round)")
            }
        }
    }

    @Test(arguments: engines)
    func aCallerThatWaitsForAPlaceCanBeCancelled(_ engine: EngineKind) async throws {
        try await withRuntime(engine, { $0.queueDepth = 1 }) { runtime in
            try await Ends.with { ends in
                let reading = ends.reading
                let blocker = Task {
                    let memory = Memory(count: 1)
                    return try await runtime.perform(.read(memory.transfer(reading)))
                }
                try await eventually { runtime.inFlightCount == 1 }
                let waiting = (0..<50).map { _ in Task { try await runtime.perform(.nop) } }
                for task in waiting { task.cancel() }
                for task in waiting { await expectError(.cancelled) { try await task.value } }
                ends.put([1])
                #expect(try await blocker.value == 1)
            }
        }
    }

    @Test(arguments: engines)
    func configurationsOutOfRangeAreRefused(_ engine: EngineKind) async {
        let mistakes: [(inout IOQueue.Configuration) -> Void] = [
            { $0.queueDepth = 0 }, { $0.queueDepth = -1 }, { $0.queueDepth = 1 << 20 },
            { $0.workerLimit = 0 }, { $0.workerLimit = 1 << 20 },
        ]
        for mistake in mistakes {
            var configuration = IOQueue.Configuration()
            configuration.engine = .forced(engine)
            mistake(&configuration)
            let error = await expectError(.invalidArgument) { try IOQueue(configuration) }
            #expect(error?.advice != nil)
        }
        var configuration = IORuntime.Configuration()
        configuration.engine = .forced(engine)
        configuration.loops = 0
        await expectError(.invalidArgument) { try IORuntime(configuration) }
        configuration.loops = 1
        for limit in [-1, 1 << 21] {
            configuration.waitingLimit = limit
            await expectError(.invalidArgument) { try IORuntime(configuration) }
        }
    }

    @Test(arguments: engines)
    func theLargestQueueDepthWorks(_ engine: EngineKind) async throws {
        try await withQueue(engine, { $0.queueDepth = 16_000 }) { queue in
            for context in 0..<UInt(16_000) { try queue.prepare(.nop, context: context) }
            #expect(try queue.wait(atLeast: 16_000) == 16_000)
            #expect(Set(queue.completions().map(\.context)).count == 16_000)
        }
    }

    @Test(arguments: engines)
    func severalLoopsShareTheWork(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let content = KnownContent(seed: 3)
            let path = Path(try scratch.file("loops", content.bytes(count: 1 << 16, at: 0)))
            try await withRuntime(
                engine,
                {
                    $0.loops = 3; $0.queueDepth = 8
                }
            ) { runtime in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in 0..<60 {
                        group.addTask {
                            try await withFile(path, .readWrite, runtime: runtime) { file in
                                let offset = Int64(index) * 100
                                let bytes = try await file.readExactly(count: 100, at: offset)
                                #expect(content.mismatch(bytes, at: offset) == nil)
                                try await file.writeAll(bytes, at: offset)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            #expect(content.mismatch(try scratch.content("loops"), at: 0) == nil)
        }
    }
}
