import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// FIFOs are opened as by open(2): a reader waits for a writer, and a writer for a reader. A cancel or a deadline ends
/// the wait, and the caller no longer counts as a waiting end.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct FIFOTests {
    @Test(arguments: engines, [File.Access.read, .write])
    func anOpenWaitsForTheOtherEnd(_ engine: EngineKind, _ access: File.Access) async throws {
        try await withFIFO(engine) { fifo, runtime in
            let opening = Task { try await File.open(Path(fifo), access, runtime: runtime) }
            try await BlockingThread.with {
                // Blocks until the other end is opened.
                let other = Glibc.open(fifo, (access == .read ? O_WRONLY : O_RDONLY) | O_CLOEXEC)
                #expect(other >= 0)
                let file = try await opening.value
                if access == .read {
                    #expect(write(other, [5] as [UInt8], 1) == 1)
                    #expect(try await file.read(upTo: 1, at: 0) == [5])
                } else {
                    try await file.writeAll([5], at: 0)
                    var byte: UInt8 = 0
                    #expect(read(other, &byte, 1) == 1 && byte == 5)
                }
                closeDescriptor(other)
                try await file.close()
            }
        }
    }

    @Test(arguments: engines, [File.Access.read, .write])
    func aDeadlineEndsTheWaiting(_ engine: EngineKind, _ access: File.Access) async throws {
        try await withFIFO(engine) { fifo, runtime in
            for _ in 0..<5 {
                await expectError(.deadlineExceeded) {
                    try await File.open(Path(fifo), access, runtime: runtime, deadline: .soon)
                }
            }
            #expect(nobodyWaits(fifo, for: access))
        }
    }

    @Test(arguments: engines, [File.Access.read, .write])
    func aCancelEndsTheWaiting(_ engine: EngineKind, _ access: File.Access) async throws {
        try await withFIFO(engine) { fifo, runtime in
            for turn in 0..<20 {
                let opening = Task { try await File.open(Path(fifo), access, runtime: runtime) }
                // At a random stage of the open.
                for _ in 0..<turn * 20 { await Task.yield() }
                opening.cancel()
                await expectError(.cancelled) { try await opening.value }
            }
            #expect(nobodyWaits(fifo, for: access))
        }
    }

    @Test(arguments: engines)
    func withNonBlockingNothingIsWaitedFor(_ engine: EngineKind) async throws {
        try await withFIFO(engine) { fifo, runtime in
            let error = await expectError(.other) {
                try await File.open(Path(fifo), .write, options: .nonBlocking, runtime: runtime)
            }
            #expect(error?.errno?.rawValue == ENXIO)
            let reader = try await File.open(Path(fifo), .read, options: .nonBlocking, runtime: runtime)
            try await reader.close()
        }
    }

    /// With many more of them than workers, other files are still served.
    @Test(arguments: engines)
    func thoseThatWaitTakeNoWorkerFromFiles(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine, { $0.workerLimit = 2 }) { runtime in
                let paths = (0..<12).map { scratch.path("fifo\($0)") }
                for path in paths { try #require(mkfifo(path, 0o600) == 0) }
                let opens = paths.map { path in Task { try await File.open(Path(path), runtime: runtime) } }
                try await eventually { runtime.inFlightCount == 12 }
                let other = Path(scratch.path("file"))
                for _ in 0..<20 {
                    try await withFile(other, .readWrite, options: .create, runtime: runtime) { file in
                        try await file.writeAll([1], at: 0)
                        try await file.sync()
                    }
                }
                for open in opens { open.cancel() }
                for open in opens { await expectError(.cancelled) { try await open.value } }
            }
        }
    }

    @Test(arguments: engines)
    func aShutdownEndsTheWaiting(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let fifo = scratch.path("fifo")
            try #require(mkfifo(fifo, 0o600) == 0)
            var configuration = IORuntime.Configuration()
            configuration.queueDepth = 64
            configuration.engine = .forced(engine)
            let runtime = try IORuntime(configuration)
            let opening = Task { try await File.open(Path(fifo), runtime: runtime) }
            try await eventually { runtime.inFlightCount == 1 }
            await runtime.shutdown(.cancel)
            await expectError(.cancelled) { try await opening.value }
            #expect(nobodyWaits(fifo, for: .read))
        }
    }

    /// Whether the other side finds no waiting end.
    private func nobodyWaits(_ fifo: String, for access: File.Access) -> Bool {
        if access == .read {
            let writer = Glibc.open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
            if writer >= 0 { closeDescriptor(writer) }
            return writer < 0
        }
        let reader = Glibc.open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        defer { closeDescriptor(reader) }
        var byte: UInt8 = 0
        // The end of the file, and not EAGAIN.
        return read(reader, &byte, 1) == 0
    }

    private func withFIFO(_ engine: EngineKind, _ body: (String, IORuntime) async throws -> Void) async throws {
        try await withScratch { scratch in
            let fifo = scratch.path("fifo")
            try #require(mkfifo(fifo, 0o600) == 0)
            try await withRuntime(engine) { try await body(fifo, $0) }
        }
    }
}
