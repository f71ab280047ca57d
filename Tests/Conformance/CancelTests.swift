import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// A cancel is a request; the operation's own completion reports the outcome, once.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct CancelTests {
    @Test(arguments: engines, StreamKind.allCases)
    func aWaitingReadEndsWhenItsTaskIsCancelled(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with(kind) { ends in
                let reading = ends.reading
                let read = Task {
                    let memory = Memory(count: 1)
                    return try await runtime.perform(.read(memory.transfer(reading)))
                }
                try await eventually { runtime.inFlightCount == 1 }
                read.cancel()
                await expectError(.cancelled) { try await read.value }
                // Data written afterwards stay for the next reader.
                ends.put([7])
                let memory = Memory(count: 1)
                #expect(try await runtime.perform(.read(memory.transfer(reading))) == 1)
                #expect(memory.bytes == [7])
            }
        }
    }

    @Test(arguments: engines)
    func aPollAndATimeoutEndWhenTheirTaskIsCancelled(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with { ends in
                let reading = ends.reading
                let poll = Task { try await runtime.perform(.poll(Descriptor(reading), events: CK_POLLIN)) }
                let timeout = Task { try await runtime.perform(.timeout(deadline: .max)) }
                let sleep = Task { try await runtime.sleep(until: .farAway) }
                try await eventually { runtime.inFlightCount == 3 }
                poll.cancel()
                timeout.cancel()
                sleep.cancel()
                await expectError(.cancelled) { try await poll.value }
                await expectError(.cancelled) { try await timeout.value }
                await expectError(.cancelled) { try await sleep.value }
            }
        }
    }

    @Test(arguments: engines)
    func workThatIsRunningIsAskedToEnd(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let work = PatientWork()
            let task = Task { try await work.perform(runtime) }
            try await eventually { work.hasBegun.isSet }
            task.cancel()
            await expectError(.cancelled) { try await task.value }
            let late = PatientWork()
            let error = await expectError(.deadlineExceeded) {
                try await runtime.perform(.work(.passUnretained(late)), deadline: .soon)
            }
            #expect(error?.errno == nil)
            withExtendedLifetime(late) {}
        }
    }

    @Test(.notSimulated(.threads), arguments: engines)
    func aCancelOfAQueueReachesWorkThatIsRunning(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            let work = PatientWork()
            let token = try queue.prepare(.work(.passUnretained(work)), context: 1)
            try queue.submit()
            try await eventually { work.hasBegun.isSet }
            try queue.prepare(.cancel(target: token), context: 2)
            try queue.waitPatiently(atLeast: 2)
            let results = Dictionary(uniqueKeysWithValues: queue.completions().map { ($0.context, $0.result) })
            #expect(results == [1: -ECANCELED, 2: 0])
            withExtendedLifetime(work) {}
        }
    }

    @Test(arguments: engines)
    func aTaskCancelledBeforehandBeginsNothing(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(scratch.path("never"))
            try await withRuntime(engine) { runtime in
                let task = Task {
                    while !Task.isCancelled { await Task.yield() }
                    return try await File.open(path, .write, options: .create, runtime: runtime)
                }
                task.cancel()
                await expectError(.cancelled) { try await task.value }
            }
            #expect(access(scratch.path("never"), F_OK) != 0)
        }
    }

    @Test(arguments: engines)
    func anOperationInTheQueueIsCancelledBeforeTheKernelSawIt(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                let memory = Memory(count: 1)
                let token = try queue.prepare(.read(memory.transfer(ends.reading)), context: 5)
                #expect(queue.requestCancel(token))
                try queue.waitPatiently()
                #expect(queue.completions() == [Drained(token, -ECANCELED, 5)])
            }
        }
    }

    @Test(arguments: engines)
    func anOperationThatWaitsIsCancelledOnceAndThenNamesNothing(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                let memory = Memory(count: 1)
                let token = try queue.prepare(.read(memory.transfer(ends.reading)))
                try queue.submit()
                #expect(queue.requestCancel(token))
                #expect(!queue.requestCancel(token))
                try queue.waitPatiently()
                #expect(!queue.requestCancel(token))
                #expect(queue.completions() == [Drained(token, -ECANCELED, 0)])
                #expect(!queue.requestCancel(token))
            }
        }
    }

    @Test(arguments: engines)
    func aStaleTokenDoesNotTouchTheOperationInItsPlace(_ engine: EngineKind) async throws {
        try await withQueue(engine, { $0.queueDepth = 1 }) { queue in
            try await Ends.with { ends in
                let stale = try queue.prepare(.nop)
                try queue.waitPatiently()
                _ = queue.completions()
                let memory = Memory(count: 1)
                let token = try queue.prepare(.read(memory.transfer(ends.reading)))
                try queue.submit()
                #expect(!queue.requestCancel(stale))
                ends.put([1])
                try queue.waitPatiently()
                #expect(queue.completions() == [Drained(token, 1, 0)])
            }
        }
    }

    @Test(arguments: engines)
    func aCancelOfItselfCompletesOnce(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            let before = try queue.prepare(.nop)
            try queue.waitPatiently()
            #expect(queue.completions().count == 1)
            // The slot is reused under its next generation.
            let own = Token(rawValue: before.rawValue + 1 << 32)
            let token = try queue.prepare(.cancel(target: own), context: 1)
            try #require(token == own)
            try queue.prepare(.nop, context: 2)
            try queue.waitPatiently(atLeast: 2)
            let results = queue.completions().map { [UInt($0.context), UInt(bitPattern: Int($0.result))] }
            #expect(results.sorted { $0[0] < $1[0] } == [[1, 0], [2, 0]])
        }
    }

    @Test(arguments: engines)
    func theCancelOperationTellsWhatItFound(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            try await Ends.with { ends in
                let memory = Memory(count: 1)
                let target = try queue.prepare(.read(memory.transfer(ends.reading)))
                let first = try queue.prepare(.cancel(target: target))
                let second = try queue.prepare(.cancel(target: target))
                try queue.waitPatiently(atLeast: 3)
                let drained = queue.completions()
                #expect(drained.contains(Drained(target, -ECANCELED, 0)))
                #expect(drained.contains(Drained(first, 0, 0)))
                // Cancelled already, or already complete: that depends on the engine.
                #expect(drained.contains { $0.token == second && [-EALREADY, -ENOENT].contains($0.result) })
                let third = try queue.prepare(.cancel(target: target))
                try queue.waitPatiently()
                #expect(queue.completions() == [Drained(third, -ENOENT, 0)])
            }
        }
    }

    /// A worker's system call cannot be interrupted: the sync completes normally, or it is cancelled before it starts.
    @Test(arguments: engines)
    func aCancelledSyncEndsEitherWayAndOnce(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("sync", [UInt8](repeating: 1, count: 1 << 20)), O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await withQueue(engine, { $0.workerLimit = 1 }) { queue in
                let tokens = try (0..<16).map { _ in try queue.prepare(.sync(Descriptor(descriptor), .full)) }
                try queue.submit()
                for token in tokens { queue.requestCancel(token) }
                try queue.waitPatiently(atLeast: 16)
                let drained = queue.completions()
                #expect(Set(drained.map(\.token)) == Set(tokens))
                #expect(drained.allSatisfy { [0, -ECANCELED, -EINTR].contains($0.result) }, "\(drained)")
            }
        }
    }

    @Test(arguments: engines)
    func manyCancelledReadsAllEnd(_ engine: EngineKind) async throws {
        try await withRuntime(engine, { $0.queueDepth = 64 }) { runtime in
            try await Ends.with { ends in
                let reading = ends.reading
                let reads = (0..<200).map { _ in
                    Task {
                        let memory = Memory(count: 1)
                        return try await runtime.perform(.read(memory.transfer(reading)))
                    }
                }
                try await eventually { runtime.inFlightCount == 64 }
                for read in reads { read.cancel() }
                for read in reads { await expectError(.cancelled) { try await read.value } }
                try await eventually { runtime.inFlightCount == 0 }
            }
        }
    }

    @Test(arguments: engines)
    func aCancelledCloseStillCloses(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with { ends in
                let file = File(adopting: ends.writing, runtime: runtime)
                let close = Task {
                    while !Task.isCancelled { await Task.yield() }
                    try await file.close()
                }
                close.cancel()
                try await close.value
                ends.writing = -1
                try await eventually { ends.isWritingEndGone }
            }
        }
    }

    /// Cancels race with completions of many reads. Each read ends once, and no byte is lost.
    @Test(arguments: engines)
    func aCancelThatRacesWithTheDataLosesNoByte(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with { ends in
                let reading = ends.reading
                var received = 0
                for round in 0..<200 {
                    let read = Task {
                        let memory = Memory(count: 1)
                        return Int(try await runtime.perform(.read(memory.transfer(reading))))
                    }
                    if round % 2 == 0 { try await eventually { runtime.inFlightCount == 1 } }
                    ends.put([1])
                    read.cancel()
                    if let count = try? await read.value { received += count } else { received += ends.get(1).count }
                }
                #expect(received == 200)
            }
        }
    }

    /// Data that were read ahead are available without waiting, but a cancelled task must not receive them.
    @Test(arguments: engines)
    func aCancelledLoopGetsNothingThatWasReadAhead(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let folder = Path(scratch.folder)
            let path = Path(try scratch.file("file", [UInt8](repeating: 1, count: 100)))
            try await withRuntime(engine) { runtime in
                try await withFile(path, runtime: runtime) { file in
                    await expectCancelledAfterOne(of: file.chunks(of: 10, readahead: 16))
                }
                await expectCancelledAfterOne(of: Paths.walk(folder, runtime: runtime))
                // More than one batch.
                try scratch.file(named: (0..<3000).map { "an entry with a long name, \($0)" })
                await expectCancelledAfterOne(of: Paths.entries(of: folder, runtime: runtime))
            }
        }
    }

    private func expectCancelledAfterOne<Items: AsyncSequence & Sendable>(of items: Items) async {
        let task = Task {
            for try await _ in items { withUnsafeCurrentTask { $0?.cancel() } }
        }
        await expectError(.cancelled) { try await task.value }
    }
}
