import AIO
import AIOCore
import CKernel
import Glibc
import Synchronization
import Testing
import UnitSupport

/// After its deadline, or in a cancelled task, no operation begins, not even one that could complete without waiting.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct BeginningTests {
    enum Reason: String, Sendable, CaseIterable { case deadline, cancelled }

    @Test(arguments: engines, Reason.allCases)
    func readsOfTheCacheAndWritesDoNotBegin(_ engine: EngineKind, _ reason: Reason) async throws {
        try await withFixture(engine) { f in
            for inlineRound in 0..<3 {
                // Brings the data into the page cache.
                _ = try await f.file.read(upTo: 4, at: 0)
                await refuses(reason) { try await f.file.read(upTo: 4, at: 0, deadline: $0) }
                await refuses(reason) { try await f.file.readExactly(count: 4, at: 0, deadline: $0) }
                await refuses(reason) { try await f.file.chunks(deadline: $0).makeAsyncIterator().next()?.count }
                await refuses(reason) { try await firstLine(of: f.file.lines(deadline: $0)) }
                await refuses(reason) { try await f.file.write([9], at: Int64(inlineRound), deadline: $0) }
                await refuses(reason) { try await f.file.writeAll([9], at: Int64(inlineRound), deadline: $0) }
                await refuses(reason) { try await f.file.sync(deadline: $0) }
                await refuses(reason) { try await f.file.truncate(to: 1, deadline: $0) }
                await refuses(reason) { try await f.file.status(deadline: $0) }
                await refuses(reason) { try await f.file.allocate(range: 0..<1 << 20, deadline: $0) }
                await refuses(reason) { try await f.file.tryLock(deadline: $0) }
                await refuses(reason) { try await f.file.lock(deadline: $0) }
                await refuses(reason) { try await f.file.setPermissions(0o777, deadline: $0) }
                await refuses(reason) { try await f.file.link(to: f.path("linked"), deadline: $0) }
            }
            // unsafe: only one task at a time uses it.
            nonisolated(unsafe) let reader = try BufferedReader(f.file)
            _ = try await reader.peek(upTo: 4)
            await refuses(reason) { try await reader.read(upTo: 1, deadline: $0) }
            await refuses(reason) { try await reader.readExactly(count: 1, deadline: $0) }
            await refuses(reason) { try await reader.read(until: 0, deadline: $0) }
            await refuses(reason) { try await reader.peek(upTo: 1, deadline: $0) }
            await refuses(reason) { try await reader.skip(1, deadline: $0) }
            #expect(reader.position == 0)
            #expect(try f.content("file") == f.bytes)
        }
    }

    @Test(arguments: engines, Reason.allCases)
    func namesStayAsTheyAre(_ engine: EngineKind, _ reason: Reason) async throws {
        try await withFixture(engine) { f in
            let (runtime, here, there) = (f.runtime, f.path("file"), f.path("other"))
            let folder = try await File.open(Path(f.scratch.folder), options: .directory, runtime: runtime)
            for _ in 0..<20 {
                await refuses(reason) {
                    try await File.open(there, .write, options: .create, runtime: runtime, deadline: $0)
                }
                await refuses(reason) { try await Paths.makeDirectory(there, runtime: runtime, deadline: $0) }
                await refuses(reason) {
                    try await Paths.makeDirectory(there, withParents: true, runtime: runtime, deadline: $0)
                }
                await refuses(reason) { try await Paths.rename(here, to: there, runtime: runtime, deadline: $0) }
                await refuses(reason) { try await Paths.unlink(here, runtime: runtime, deadline: $0) }
                await refuses(reason) { try await Paths.link(here, to: there, runtime: runtime, deadline: $0) }
                await refuses(reason) {
                    try await Paths.makeSymbolicLink(at: there, to: here, runtime: runtime, deadline: $0)
                }
                await refuses(reason) { try await Paths.readFile(here, runtime: runtime, deadline: $0) }
                await refuses(reason) { try await Paths.writeFile(there, [1], runtime: runtime, deadline: $0) }
                await refuses(reason) {
                    try await Paths.replaceFile(here, [1], durability: .none, runtime: runtime, deadline: $0)
                }
                await refuses(reason) { try await Paths.removeRecursively(here, runtime: runtime, deadline: $0) }
                await refuses(reason) { try await Paths.status(of: here, runtime: runtime, deadline: $0) }
                await refuses(reason) { try await Paths.unlink("file", in: folder, deadline: $0) }
                await refuses(reason) { try await Paths.rename("file", in: folder, to: "other", deadline: $0) }
                await refuses(reason) { try await Paths.writeFile("other", in: folder, [1], deadline: $0) }
                await refuses(reason) { try await Paths.copy(here, to: there, runtime: runtime, deadline: $0) }
                await refuses(reason) { try await Paths.changes(of: here, runtime: runtime, deadline: $0) }
            }
            try await folder.close()
            #expect(try f.content("file") == f.bytes)
            #expect(access(f.scratch.path("other"), F_OK) != 0)
        }
    }

    @Test(arguments: engines, Reason.allCases)
    func whatIsReadyIsLeftWhereItIs(_ engine: EngineKind, _ reason: Reason) async throws {
        try await withRuntime(engine) { runtime in
            let (one, other) = try Connection.pair(runtime: runtime)
            try await other.writeAll([1, 2, 3])
            for _ in 0..<50 {
                await refuses(reason) { try await one.read(upTo: 3, deadline: $0) }
                await refuses(reason) { try await one.readExactly(count: 3, deadline: $0) }
                await refuses(reason) { try await one.chunks(deadline: $0).makeAsyncIterator().next()?.count }
                await refuses(reason) { try await firstLine(of: one.lines(deadline: $0)) }
                await refuses(reason) { try await one.write([7], deadline: $0) }
                await refuses(reason) { try await one.writeAll([7], deadline: $0) }
            }
            #expect(try await one.read(upTo: 9) == [1, 2, 3])
            let (reader, writer) = try await Pipe.make(runtime: runtime)
            try await writer.writeAll([4])
            for _ in 0..<50 {
                await refuses(reason) { try await reader.read(upTo: 1, deadline: $0) }
                await refuses(reason) { try await writer.write([5], deadline: $0) }
            }
            #expect(try await reader.read(upTo: 9) == [4])
            await refuses(reason) {
                try await SocketAddress.resolve("127.0.0.1", port: 1, runtime: runtime, deadline: $0)
            }
            await refuses(reason) { try await runtime.perform(.nop, deadline: $0) }
            await refuses(reason) { try await runtime.perform(.timeout(deadline: 1), deadline: $0) }
            try await one.close()
            try await other.close()
            try await reader.close()
            try await writer.close()
        }
    }

    @Test(arguments: engines)
    func aQueueAndAGroupBeginNothingAfterTheDeadline(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            let ends = try Ends(.pipe, false)
            ends.put([1])
            let memory = Memory(count: 1)
            for operation: AIOCore.Operation in [
                .nop, .read(memory.transfer(ends.reading)), .timeout(deadline: 1),
                .poll(Descriptor(ends.reading), events: CK_POLLIN),
            ] {
                let error = await expectError(.deadlineExceeded) {
                    try queue.blockingPerform(operation, deadline: .after(.seconds(-5)))
                }
                #expect(error?.errno == nil)
            }
            let count = try queue.blockingPerform(.read(memory.transfer(ends.reading)))
            #expect(count == 1)
            closeDescriptor(ends.reading)
            closeDescriptor(ends.writing)
        }
    }

    // MARK: -

    private func firstLine(of lines: Lines) async throws -> String? {
        var iterator = lines.makeAsyncIterator()
        return try await iterator.next()
    }

    /// Expects `body` to throw for this reason, without any effect.
    private func refuses<R: Sendable>(
        _ reason: Reason, sourceLocation: SourceLocation = #_sourceLocation,
        _ body: @escaping @Sendable (Deadline) async throws -> R
    ) async {
        switch reason {
        case .deadline:
            await expectError(.deadlineExceeded, sourceLocation: sourceLocation) {
                try await body(.after(.seconds(-5)))
            }
        case .cancelled:
            await expectError(.cancelled, sourceLocation: sourceLocation) {
                try await cancelled { try await body(.never) }
            }
        }
    }

    /// Runs `body` in a task that is already cancelled.
    private func cancelled<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) async throws -> R {
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await body()
        }
        task.cancel()
        return try await task.value
    }

    private struct Fixture: Sendable {
        let runtime: IORuntime
        let scratch: Scratch
        let file: File
        let bytes: [UInt8]

        func path(_ name: String) -> Path { Path(scratch.path(name)) }
        func content(_ name: String) throws -> [UInt8] { try scratch.content(name) }
    }

    private func withFixture(_ engine: EngineKind, _ body: (Fixture) async throws -> Void) async throws {
        try await withScratch { scratch in
            let bytes: [UInt8] = [1, 2, 3, 4]
            let path = try scratch.file("file", bytes)
            try await withRuntime(engine) { runtime in
                let file = try await File.open(Path(path), .readWrite, runtime: runtime)
                try await body(Fixture(runtime: runtime, scratch: scratch, file: file, bytes: bytes))
                try await file.close()
            }
        }
    }
}
