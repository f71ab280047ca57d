import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// An operation that hangs in a file system delays nothing else. The file system is FUSE, with a server that may not
/// reply.
@Suite(.overSimulation, .notSimulated(.mounts), .serialized, .timeLimit(.minutes(10))) struct StallTests {
    @Test(arguments: engines)
    func whileAReadHangsOtherFilesAndTimersGoOn(_ engine: EngineKind) async throws {
        try await StallingFileSystem.with { fileSystem in
            try await withRuntime(engine) { runtime in
                try await withFile(Path(fileSystem.hang), runtime: runtime) { hanging in
                    defer { fileSystem.release() }
                    let stalled = Task { try await hanging.read(upTo: 4096, at: 0) }
                    try await eventually { runtime.inFlightCount == 1 }
                    try await withFile(Path(fileSystem.fast), runtime: runtime) { file in
                        let bytes = try await file.read(upTo: 5000, at: 1 << 20)
                        #expect(bytes == (0..<5000).map { StallingFileSystem.byte(at: 1 << 20 + $0) })
                    }
                    try await expectLocalFilesGoOn(runtime)
                    try await eventually { runtime.inFlightCount == 1 }
                    fileSystem.release()
                    #expect(try await stalled.value.count == 4096)
                }
            }
        }
    }

    @Test(arguments: engines)
    func moreHangingReadsThanWorkersHoldUpNoLocalFile(_ engine: EngineKind) async throws {
        try await StallingFileSystem.with { fileSystem in
            try await withRuntime(
                engine,
                {
                    $0.workerLimit = 4
                }
            ) { runtime in
                try await withFile(Path(fileSystem.hang), runtime: runtime) { hanging in
                    defer { fileSystem.release() }
                    // Far apart, so that no read is served by another's pages.
                    let stalled = (0..<12).map { index in
                        Task { try await hanging.read(upTo: 100, at: Int64(index) << 24) }
                    }
                    try await eventually { runtime.inFlightCount == 12 }
                    try await expectLocalFilesGoOn(runtime)
                    try await eventually { runtime.inFlightCount == 12 }
                    fileSystem.release()
                    for (index, read) in stalled.enumerated() {
                        let offset = Int64(index) << 24
                        let bytes = try await read.value
                        #expect(bytes == (0..<100).map { StallingFileSystem.byte(at: offset + $0) })
                    }
                }
            }
        }
    }

    @Test(arguments: engines)
    func stagingReadsThatHangDoesNotWait(_ engine: EngineKind) async throws {
        try await StallingFileSystem.with { fileSystem in
            try await withQueue(engine, { $0.workerLimit = 2 }) { queue in
                let file = try openDescriptor(fileSystem.hang)
                defer {
                    fileSystem.release()
                    closeDescriptor(file)
                }
                let memories = (0..<8).map { _ in Memory(count: 512) }
                for (index, memory) in memories.enumerated() {
                    var transfer = memory.transfer(file, at: Int64(index) << 24)
                    transfer.descriptor = .classify(file)
                    _ = try queue.prepare(.read(transfer), context: UInt(index))
                }
                // Would hang if it waited for one of the reads.
                try queue.submit()
                // By time: nothing tells that none of the reads will complete.
                #expect(try queue.wait(atLeast: 1, deadline: .after(.milliseconds(20))) == 0)
                #expect(queue.inFlightCount == 8)
                fileSystem.release()
                var done = 0
                while done < 8 {
                    _ = try queue.wait(atLeast: 1)
                    done += queue.drain { completion, _ in #expect(completion.result == 512) }
                }
            }
        }
    }

    /// As far as the kernel permits: io_uring's own workers can be interrupted, a thread in read(2) only by a signal.
    @Test(arguments: engines)
    func aCancelledReadThatHangsEndsOnceAndOnlyItself(_ engine: EngineKind) async throws {
        try await StallingFileSystem.with { fileSystem in
            try await withRuntime(engine) { runtime in
                try await withFile(Path(fileSystem.hangDirect), runtime: runtime) { hanging in
                    defer { fileSystem.release() }
                    let cancelled = Task { try await hanging.read(upTo: 4096, at: 0) }
                    let kept = Task { try await hanging.read(upTo: 4096, at: 1 << 24) }
                    try await eventually { runtime.inFlightCount == 2 }
                    cancelled.cancel()
                    if engine == .ioUring {
                        await expectError(.cancelled) { try await cancelled.value }
                        try await eventually { runtime.inFlightCount == 1 }
                    }
                    fileSystem.release()
                    #expect(try await kept.value.count == 4096)
                    if engine != .ioUring { _ = try? await cancelled.value }
                }
            }
        }
    }

    /// A read that misses the page cache, an open, a write by a worker, and a timer.
    private func expectLocalFilesGoOn(_ runtime: IORuntime) async throws {
        // Not in `testDirectory`, which may be remote as well.
        try await withScratch(in: "/tmp") { scratch in
            let content = KnownContent(seed: 9).bytes(count: 8192, at: 0)
            let path = try scratch.file("local", content)
            try await withFile(Path(path), .readWrite, runtime: runtime) { file in
                try await file.sync(.data)
                try await file.advise(.dontNeed)
                #expect(try await file.read(upTo: 8192, at: 0) == content)
                try await file.writeAll([1, 2, 3], at: 0)
            }
            try await runtime.sleep(until: .after(.milliseconds(1)))
        }
    }
}
