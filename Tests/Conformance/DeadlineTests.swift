import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Any operation may have a deadline, which cancels it when it passes.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct DeadlineTests {
    @Test(arguments: ways, StreamKind.allCases)
    func aReadThatGetsNothingEndsAtItsDeadline(_ way: Way, _ kind: StreamKind) async throws {
        try await way.run { performer in
            try await Ends.with(kind) { ends in
                let memory = Memory(count: 1)
                let before = Deadline.soon
                await expectError(.deadlineExceeded) {
                    try await performer.perform(.read(memory.transfer(ends.reading)), deadline: before)
                }
                #expect(Deadline.now >= before)
            }
        }
    }

    @Test(arguments: ways, [Deadline.after(.seconds(-5)), Deadline.after(.seconds(-1_000_000_000))])
    func aDeadlineThatHasPassedEndsAWaitAtOnce(_ way: Way, _ deadline: Deadline) async throws {
        try await way.run { performer in
            try await Ends.with { ends in
                let memory = Memory(count: 1)
                await expectError(.deadlineExceeded) {
                    try await performer.perform(.read(memory.transfer(ends.reading)), deadline: deadline)
                }
                await expectError(.deadlineExceeded) {
                    try await performer.perform(.poll(Descriptor(ends.reading), events: CK_POLLIN), deadline: deadline)
                }
            }
        }
    }

    @Test(arguments: ways)
    func aDeadlineInTheFutureChangesNothing(_ way: Way) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("future", [1, 2, 3]), O_RDWR)
            defer { closeDescriptor(descriptor) }
            let memory = Memory(count: 3)
            let file = Descriptor(descriptor)
            let operations: [Operation] = [
                .nop, .read(memory.transfer(descriptor)), .write(memory.transfer(descriptor)), .sync(file, .data),
                .truncate(file, size: 3), .allocate(file, mode: 0, offset: 0, count: 3),
                .advise(file, offset: 0, count: 0, advice: 0), .poll(file, events: CK_POLLIN),
                .syncRange(file, offset: 0, count: 0, flags: 2),
            ]
            try await way.run { performer in
                for operation in operations {
                    for deadline in [Deadline.farAway, .never, .after(.seconds(Int64.max))] {
                        try await performer.perform(operation, deadline: deadline)
                    }
                }
            }
            withExtendedLifetime(memory) {}
        }
    }

    /// This includes operations that could complete immediately.
    @Test(arguments: ways)
    func anyOperationTakesADeadlineThatHasPassed(_ way: Way) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("past", [1, 2, 3]), O_RDWR)
            defer { closeDescriptor(descriptor) }
            let memory = Memory(count: 3)
            let file = Descriptor(descriptor)
            let operations: [Operation] = [
                .nop, .read(memory.transfer(descriptor)), .write(memory.transfer(descriptor)), .sync(file, .full),
                .truncate(file, size: 3), .allocate(file, mode: 0, offset: 0, count: 3),
                .advise(file, offset: 0, count: 0, advice: 0), .syncRange(file, offset: 0, count: 0, flags: 2),
            ]
            try await way.run { performer in
                for operation in operations {
                    await expectError(.deadlineExceeded) {
                        try await performer.perform(operation, deadline: .after(.seconds(-1)))
                    }
                }
            }
            withExtendedLifetime(memory) {}
        }
    }

    @Test(arguments: ways)
    func aTimeoutEndsAtItsDeadlineUnlessItIsDueBefore(_ way: Way) async throws {
        try await way.run { performer in
            // Whether it passes before the timeout begins or, as the second most likely does, later.
            for deadline in [Deadline.after(.seconds(-1)), .soon] {
                await expectError(.deadlineExceeded) {
                    try await performer.perform(.timeout(deadline: .max), deadline: deadline)
                }
                #expect(Deadline.now >= deadline)
            }
            let result = try await performer.perform(.timeout(deadline: 1), deadline: .farAway)
            #expect(result == 0)
        }
    }

    @Test(arguments: engines)
    func aTransferOnAFileEndsAtItsDeadline(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with { ends in
                let file = File(adopting: dup(ends.reading), runtime: runtime)
                await expectError(.deadlineExceeded) { try await file.read(upTo: 1, at: 0, deadline: .soon) }
                await expectError(.deadlineExceeded) {
                    try await file.readExactly(count: 1, at: 0, deadline: .after(.seconds(-1)))
                }
                try await file.close()
            }
        }
    }

    @Test(arguments: engines)
    func aCallerThatWaitsForAPlaceGivesUpAtItsDeadline(_ engine: EngineKind) async throws {
        try await withRuntime(engine, { $0.queueDepth = 2 }) { runtime in
            try await Ends.with { ends in
                let reading = ends.reading
                let reads = (0..<2).map { _ in
                    Task {
                        let memory = Memory(count: 1)
                        return try await runtime.perform(.read(memory.transfer(reading)))
                    }
                }
                try await eventually { runtime.inFlightCount == 2 }
                await expectError(.deadlineExceeded) { try await runtime.perform(.nop, deadline: .soon) }
                await expectError(.deadlineExceeded) { try await runtime.perform(.nop, deadline: .after(.seconds(-1))) }
                ends.put([1])
                ends.put([2])
                for read in reads { #expect(try await read.value == 1) }
            }
        }
    }

    @Test(arguments: engines)
    func deadlinesPassInTheirOrderHoweverTheyWereGiven(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            let start = monotonicNow()
            let order: [UInt] = [5, 1, 4, 2, 3]
            for place in order {
                try queue.prepare(.timeout(deadline: start + UInt64(place) * 1_000_000), context: place)
            }
            try queue.waitPatiently(atLeast: 5)
            #expect(queue.completions().map(\.context) == [1, 2, 3, 4, 5])
        }
    }
}
