import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// What the kernel has in its caches needs no loop: opens for reading, statuses and reads of small files. A runtime
/// without a free slot shows it.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct CachedPathTests {
    /// Runs `body` while the only slot for work with files is taken by an open that waits, and all others would fail.
    private func withoutASlot(
        _ engine: EngineKind, inlineAttempts: Bool = true, _ body: (Scratch, IORuntime) async throws -> Void
    ) async throws {
        try await withScratch { scratch in
            let fifo = scratch.path("fifo")
            try #require(mkfifo(fifo, 0o600) == 0)
            try await withRuntime(
                engine,
                {
                    $0.queueDepth = 1
                    $0.atLimit = .fail
                    $0.inlineAttempts = inlineAttempts
                }
            ) { runtime in
                let opening = Task { try await File.open(Path(fifo), .read, runtime: runtime) }
                try await eventually { runtime.inFlightCount == 1 }
                do { try await body(scratch, runtime) } catch {
                    opening.cancel()
                    _ = await opening.result
                    throw error
                }
                opening.cancel()
                await expectError(.cancelled) { try await opening.value }
            }
        }
    }

    @Test(arguments: engines)
    func cachedFilesAreOpenedReadAndClosed(_ engine: EngineKind) async throws {
        try await withoutASlot(engine) { scratch, runtime in
            for size in [0, 1, 4096, 100_000, 256 * 1024] {
                let content = KnownContent(seed: UInt64(size)).bytes(count: size, at: 0)
                let path = Path(try scratch.file("cached-\(size)", content))
                #expect(try await Paths.readFile(path, runtime: runtime) == content)
                #expect(try await Paths.status(of: path, runtime: runtime).size == Int64(size))
                let file = try await File.open(path, runtime: runtime)
                #expect(try await file.status().size == Int64(size))
                if size > 0 { #expect(try await file.read(upTo: size, at: 0) == content) }
                try await file.close()
                await expectError(.fileClosed) { try await file.close() }
            }
            // From here on the kernel knows that nothing has the name.
            let missing = scratch.path("missing")
            #expect(access(missing, F_OK) == -1)
            await expectError(.notFound) { try await File.open(Path(missing), runtime: runtime) }
        }
    }

    @Test(arguments: engines)
    func withoutInlineAttemptsEverythingNeedsASlot(_ engine: EngineKind) async throws {
        try await withoutASlot(engine, inlineAttempts: false) { scratch, runtime in
            let path = Path(try scratch.file("cached", [1, 2, 3]))
            await expectError(.limitReached) { try await File.open(path, runtime: runtime) }
            await expectError(.limitReached) { try await Paths.readFile(path, runtime: runtime) }
            await expectError(.limitReached) { try await Paths.status(of: path, runtime: runtime) }
        }
    }

    @Test(arguments: engines)
    func aFileThatIsTooLargeIsRefusedOnEachWay(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("large", [UInt8](repeating: 1, count: 1000)))
            try await withRuntime(engine) { runtime in
                await expectError(.fileTooLarge) {
                    try await Paths.readFile(path, limit: 999, runtime: runtime)
                }
                let content = try await Paths.readFile(path, limit: 1000, runtime: runtime)
                #expect(content.count == 1000)
            }
        }
    }

    @Test(arguments: engines)
    func whatHasEndedBeginsNothing(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("cached", [1, 2, 3]))
            let runtime = try await withRuntime(engine) { runtime in
                let content = try await Paths.readFile(path, runtime: runtime)
                #expect(content == [1, 2, 3])
                await expectError(.deadlineExceeded) {
                    try await Paths.readFile(path, runtime: runtime, deadline: .after(.zero))
                }
                let cancelled = Task {
                    while !Task.isCancelled { await Task.yield() }
                    return try await File.open(path, runtime: runtime)
                }
                cancelled.cancel()
                await expectError(.cancelled) { try await cancelled.value }
                return runtime
            }
            await expectError(.runtimeShutDown) { try await Paths.readFile(path, runtime: runtime) }
            await expectError(.runtimeShutDown) { try await Paths.status(of: path, runtime: runtime) }
            await expectError(.runtimeShutDown) { try await File.open(path, runtime: runtime) }
        }
    }
}
