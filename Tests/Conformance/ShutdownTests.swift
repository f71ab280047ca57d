import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Shutdown of a runtime: nothing in flight is lost, nothing new begins.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ShutdownTests {
    @Test(arguments: engines)
    func drainingLetsEverythingInFlightFinish(_ engine: EngineKind) async throws {
        try await Ends.with { ends in
            let runtime = try runtime(engine, queueDepth: 4)
            let reading = ends.reading
            let reads = (0..<4).map { _ in readOne(runtime, reading) }
            try await eventually { runtime.inFlightCount == 4 }
            let shutdown = Task { await runtime.shutdown(.drain) }
            try await eventuallyRefuses(runtime)
            for byte in UInt8(0)..<4 { ends.put([byte]) }
            for read in reads { #expect(try await read.value == 1) }
            await shutdown.value
            #expect(runtime.inFlightCount == 0)
        }
    }

    @Test(arguments: engines)
    func cancellingEndsWhatIsInFlight(_ engine: EngineKind) async throws {
        try await Ends.with { ends in
            let runtime = try runtime(engine)
            let reading = ends.reading
            let reads = (0..<10).map { _ in readOne(runtime, reading) }
            let sleep = Task { try await runtime.sleep(until: .farAway) }
            let poll = Task { try await runtime.perform(.poll(Descriptor(reading), events: CK_POLLIN)) }
            try await eventually { runtime.inFlightCount == 12 }
            await runtime.shutdown(.cancel)
            for read in reads { await expectError(.cancelled) { try await read.value } }
            await expectError(.cancelled) { try await sleep.value }
            await expectError(.cancelled) { try await poll.value }
            #expect(runtime.inFlightCount == 0)
        }
    }

    @Test(arguments: engines)
    func aDrainThatTakesTooLongCanBeTurnedIntoACancel(_ engine: EngineKind) async throws {
        try await Ends.with { ends in
            let runtime = try runtime(engine)
            let read = readOne(runtime, ends.reading)
            try await eventually { runtime.inFlightCount == 1 }
            let drain = Task { await runtime.shutdown(.drain) }
            try await eventuallyRefuses(runtime)
            await runtime.shutdown(.cancel)
            await expectError(.cancelled) { try await read.value }
            await drain.value
        }
    }

    @Test(arguments: engines)
    func callersThatWaitForAPlaceAreToldThatTheRuntimeIsShutDown(_ engine: EngineKind) async throws {
        try await Ends.with { ends in
            let runtime = try runtime(engine, queueDepth: 1)
            let read = readOne(runtime, ends.reading)
            try await eventually { runtime.inFlightCount == 1 }
            let waiting = (0..<20).map { _ in Task { try await runtime.perform(.nop) } }
            await runtime.shutdown(.cancel)
            await expectError(.cancelled) { try await read.value }
            for task in waiting {
                // Some may have got the slot in between; the others get an error.
                do { #expect(try await task.value == 0) } catch let error as IOError {
                    #expect([.runtimeShutDown, .cancelled].contains(error.code), "\(error)")
                }
            }
        }
    }

    /// A read that nobody answers keeps one loop from its end. The others begin theirs all the same.
    @Test(arguments: engines, [true, false])
    func allLoopsBeginTheirEndAtOnce(_ engine: EngineKind, _ isBlocking: Bool) async throws {
        var configuration = IORuntime.Configuration()
        configuration.engine = .forced(engine)
        configuration.queueDepth = 16
        configuration.loops = 3
        let runtime = try IORuntime(configuration)
        try await Ends.with { ends in
            let read = readOne(runtime, ends.reading)
            try await eventually { runtime.inFlightCount == 1 }
            let shutdown = Task {
                if isBlocking {
                    try await BlockingThread.with { runtime.blockingShutdown(.drain) }
                } else {
                    await runtime.shutdown(.drain)
                }
            }
            // Operations without a descriptor go to the loops in turn.
            var refusals = 0
            while refusals < 6 {
                try Task.checkCancellation()
                do throws(IOError) {
                    _ = try await runtime.perform(.nop)
                    refusals = 0
                } catch {
                    #expect(error.code == .runtimeShutDown)
                    refusals += 1
                }
            }
            ends.put([1])
            #expect(try await read.value == 1)
            try await shutdown.value
        }
        #expect(runtime.inFlightCount == 0)
    }

    @Test(arguments: engines)
    func operationsAfterShutdownAreRefused(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("after", [1, 2, 3])
            let lines = LogLines()
            let runtime = try runtime(engine, log: lines)
            let file = try await File.open(Path(path), .readWrite, runtime: runtime)
            let pipe = try Ends(.pipe, false)
            let stream = File(adopting: pipe.reading, runtime: runtime)
            await runtime.shutdown()
            await expectError(.runtimeShutDown) { try await runtime.perform(.nop) }
            await expectError(.runtimeShutDown) { try await runtime.sleep(until: .soon) }
            await expectError(.runtimeShutDown) { try await File.open(Path(path), runtime: runtime) }
            await expectError(.runtimeShutDown) { try await file.write([1], at: 0) }
            await expectError(.runtimeShutDown) { try await file.sync() }
            await expectError(.runtimeShutDown) { try await stream.read(upTo: 1, at: 0) }
            // The descriptors are closed in spite of the error.
            await expectError(.runtimeShutDown) { try await file.close() }
            await expectError(.fileClosed) { try await file.close() }
            await expectError(.runtimeShutDown) { try await stream.close() }
            closeDescriptor(pipe.writing)
            #expect(lines.all.isEmpty)
        }
    }

    @Test(arguments: engines)
    func shutdownsMayBeRepeatedAndOverlap(_ engine: EngineKind) async throws {
        let runtime = try runtime(engine)
        await withTaskGroup(of: Void.self) { group in
            for index in 0..<10 { group.addTask { await runtime.shutdown(index % 2 == 0 ? .drain : .cancel) } }
        }
        await runtime.shutdown()
        runtime.blockingShutdown()
    }

    @Test(arguments: engines)
    func blockingShutdownWaitsForTheEnd(_ engine: EngineKind) async throws {
        try await Ends.with { ends in
            let runtime = try runtime(engine)
            let reading = ends.reading
            let reads = (0..<5).map { _ in readOne(runtime, reading) }
            try await eventually { runtime.inFlightCount == 5 }
            try await BlockingThread.with { runtime.blockingShutdown(.cancel) }
            #expect(runtime.inFlightCount == 0)
            for read in reads { await expectError(.cancelled) { try await read.value } }
        }
    }

    @Test(arguments: engines)
    func tasksThatPreferALoopThatHasEndedStillRun(_ engine: EngineKind) async throws {
        let runtime = try runtime(engine)
        let loop = runtime.loops[0]
        let isReleased = Flag()
        let before = Task(executorPreference: loop) {
            while !isReleased.isSet { await Task.yield() }
            return 1
        }
        let draining = Task { await runtime.shutdown() }
        await draining.value
        isReleased.set()
        #expect(await before.value == 1)
        let after = Task(executorPreference: loop) {
            await Task.yield()
            do throws(IOError) { _ = try await runtime.perform(.nop) } catch { return error.code }
            return .other
        }
        #expect(await after.value == .runtimeShutDown)
    }

    @Test(arguments: engines)
    func aRuntimeThatIsDroppedEndsInTheBackground(_ engine: EngineKind) async throws {
        try await Ends.with { ends in
            weak var loop: IOLoop?
            do {
                let runtime = try runtime(engine)
                loop = runtime.loops[0]
                #expect(try await runtime.perform(.nop) == 0)
            }
            try await eventually { loop == nil }
        }
    }

    /// Running work is asked to end, and work that waits for the only worker ends without running.
    @Test(arguments: engines)
    func cancellingEndsWorkThatIsRunning(_ engine: EngineKind) async throws {
        let runtime = try runtime(engine, workerLimit: 1)
        let works = (0..<3).map { _ in PatientWork() }
        let tasks = works.map { work in Task { try await work.perform(runtime) } }
        try await eventually { runtime.inFlightCount == 3 && works.contains { $0.hasBegun.isSet } }
        await runtime.shutdown(.cancel)
        for task in tasks { await expectError(.cancelled) { try await task.value } }
        #expect(runtime.inFlightCount == 0)
    }

    @Test(arguments: engines)
    func cancellingStopsTheRemovalOfATree(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let tree = try scratch.makeFolder("tree")
            for index in 0..<5000 { _ = try scratch.file("tree/\(index)") }
            let runtime = try runtime(engine)
            let isThrough = Flag()
            let removal = Task {
                defer { isThrough.set() }
                try await Paths.removeRecursively(Path(tree), runtime: runtime)
            }
            try await eventually { runtime.inFlightCount > 0 || isThrough.isSet }
            await runtime.shutdown(.cancel)
            // Unless the removal had finished by then.
            if case .failure(let error) = await removal.result {
                #expect((error as? IOError)?.code == .cancelled, "\(error)")
                try await withRuntime(engine) { try await Paths.removeRecursively(Path(tree), runtime: $0) }
            }
        }
    }

    // MARK: -

    private func runtime(
        _ engine: EngineKind, queueDepth: Int = 64, workerLimit: Int = 64, log: LogLines? = nil
    ) throws -> IORuntime {
        var configuration = IORuntime.Configuration()
        configuration.engine = .forced(engine)
        configuration.queueDepth = queueDepth
        configuration.workerLimit = workerLimit
        configuration.log = { line in
            if let log { log.append(line) } else { Issue.record("logged: \(line)") }
        }
        return try IORuntime(configuration)
    }

    private func readOne(_ runtime: IORuntime, _ descriptor: Int32) -> Task<Int32, any Error> {
        Task {
            let memory = Memory(count: 1)
            return try await runtime.perform(.read(memory.transfer(descriptor)))
        }
    }

    /// Waits until a shutdown has begun.
    private func eventuallyRefuses(_ runtime: IORuntime) async throws {
        while true {
            try Task.checkCancellation()
            do throws(IOError) {
                _ = try await runtime.perform(.nop, deadline: .soon)
            } catch {
                if error.code == .runtimeShutDown { return }
            }
            await Task.yield()
        }
    }
}
