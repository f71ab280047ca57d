import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Releases are executed in spite of a cancel, a deadline, or a shutdown.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ReleaseTests {
    enum End: String, Sendable, CaseIterable { case requestCancelAll, shutdown }

    @Test(arguments: engines, End.allCases)
    func closesAreNotTakenBack(_ engine: EngineKind, _ end: End) async throws {
        for depth in [1, 64] {
            let runtime = try runtime(engine, depth)
            var files: [(file: File, other: Int32)] = []
            // The other end of each pipe shows whether this one is closed.
            for _ in 0..<32 {
                let ends = try Ends(.pipe, false)
                files.append((File(adopting: ends.writing, runtime: runtime), ends.reading))
            }
            let closes = files.map { pair in Task { try await pair.file.close() } }
            switch end {
            case .requestCancelAll: for _ in 0..<8 { _ = try await runtime.requestCancelAll() }
            case .shutdown: await runtime.shutdown(.cancel)
            }
            for close in closes {
                // The loops may have ended by then; the descriptor is closed anyway.
                do { try await close.value } catch let error as IOError { #expect(error.code == .runtimeShutDown) }
            }
            for (_, other) in files {
                #expect(isAtEnd(other), "the writing end is still open")
                closeDescriptor(other)
            }
            if end == .requestCancelAll { await runtime.shutdown() }
        }
    }

    /// In each state that a close may be in: prepared, staged, with a worker, completed.
    @Test(arguments: engines)
    func aQueueTakesBackNoClose(_ engine: EngineKind) async throws {
        try await withQueue(engine, { $0.workerLimit = 1 }) { queue in
            for isSubmitted in [false, true] {
                let ends = try Ends(.pipe, false)
                let token = try queue.prepare(.close(ends.writing), deadline: .now)
                if isSubmitted { try queue.submit() }
                #expect(!queue.requestCancel(token))
                #expect(queue.requestCancelAll() == 0)
                try queue.prepare(.cancel(target: token), context: 1)
                try queue.waitPatiently(atLeast: 2)
                let ended = queue.completions()
                #expect(ended.filter { $0.context == 0 }.map(\.result) == [0])
                let answers = ended.filter { $0.context == 1 }.map(\.result)
                #expect(answers == [-EALREADY] || answers == [-ENOENT])
                #expect(isAtEnd(ends.reading))
                closeDescriptor(ends.reading)
            }
        }
    }

    @Test(arguments: engines)
    func aCloseInACancelledTaskAfterItsDeadlineCloses(_ engine: EngineKind) async throws {
        try await withRuntime(engine, { $0.queueDepth = 1 }) { runtime in
            let ends = try Ends(.pipe, false)
            let task = Task {
                while !Task.isCancelled { await Task.yield() }
                return try await runtime.perform(.close(ends.writing), deadline: .now)
            }
            task.cancel()
            #expect(try await task.value == 0)
            #expect(isAtEnd(ends.reading))
            closeDescriptor(ends.reading)
        }
    }

    @Test(arguments: engines)
    func aGroupThatIsDroppedClosesWhatItWasToldTo(_ engine: EngineKind) async throws {
        try await withRuntime(engine, { $0.log = { _ in } }) { runtime in
            let pipes = try (0..<16).map { _ in try Ends(.pipe, false) }
            do {
                let group = try OperationGroup(limit: 16, runtime: runtime)
                for pipe in pipes { try group.start(.close(pipe.writing), deadline: .now) }
                #expect(group.requestCancelAll() == 0)
            }
            try await eventually { pipes.allSatisfy { isAtEnd($0.reading) } }
            for pipe in pipes { closeDescriptor(pipe.reading) }
        }
    }

    /// Unfinished files and folders are removed, whatever happens to the runtime meanwhile.
    @Test(arguments: engines, End.allCases)
    func whatWasHalfMadeIsRemoved(_ engine: EngineKind, _ end: End) async throws {
        try await withScratch { scratch in
            let runtime = try runtime(engine, 64)
            let (hasBegun, hasEnded) = (Counter(), Counter())
            let tasks = (0..<8).map { index in
                Task {
                    defer { hasEnded.increment() }
                    try await Paths.replaceFile(Path(scratch.path("file\(index)")), runtime: runtime) { file in
                        try await file.writeAll([1, 2, 3], at: 0)
                        hasBegun.increment()
                        try await runtime.sleep(until: .never)
                    }
                }
            }
            let folders = (0..<4).map { _ in
                Task {
                    defer { hasEnded.increment() }
                    try await withTemporaryDirectory(in: Path(scratch.folder), runtime: runtime) { folder in
                        try await Paths.writeFile(Path("\(folder)/file"), [1], runtime: runtime)
                        hasBegun.increment()
                        try await runtime.sleep(until: .never)
                    }
                }
            }
            try await eventually { hasBegun.count == 12 }
            switch end {
            case .requestCancelAll:
                // A task that does not sleep yet has nothing to cancel; a later request reaches it.
                while hasEnded.count < 12 {
                    _ = try await runtime.requestCancelAll()
                    await Task.yield()
                }
                for task in tasks + folders { _ = await task.result }
                await runtime.shutdown()
            case .shutdown:
                await runtime.shutdown(.cancel)
                for task in tasks + folders { _ = await task.result }
            }
            #expect(try #require(entryNames(in: scratch.folder)) == [])
        }
    }

    @Test(arguments: engines)
    func aListenersNameIsTakenAwayAfterAShutdown(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let runtime = try runtime(engine, 64)
            let listener = try await AIO.Listener.listen(on: .unix(Path(scratch.path("socket"))), runtime: runtime)
            await runtime.shutdown(.cancel)
            await expectError(.runtimeShutDown) { try await listener.close() }
            #expect(try #require(entryNames(in: scratch.folder)) == [])
        }
    }

    private func runtime(_ engine: EngineKind, _ depth: Int) throws -> IORuntime {
        var configuration = IORuntime.Configuration()
        configuration.engine = .forced(engine)
        configuration.queueDepth = depth
        return try IORuntime(configuration)
    }
}

/// Whether all descriptors of the other end are closed, and no data are left to read.
private func isAtEnd(_ reading: Int32) -> Bool {
    var entry = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) == 1 && Int32(entry.revents) & POLLHUP != 0
}
