import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// The life of a file: opened once, used by many, closed once.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct FileTests {
    @Test(arguments: engines)
    func aClosedFileRefusesEverything(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("closed", [1, 2, 3]))
            try await withRuntime(engine) { runtime in
                let file = try await File.open(path, .readWrite, runtime: runtime)
                try await file.close()
                let error = await expectError(.fileClosed) { try await file.read(upTo: 1, at: 0) }
                #expect(error?.path == path)
                await expectError(.fileClosed) { try await file.write([1], at: 0) }
                await expectError(.fileClosed) { try await file.sync() }
                await expectError(.fileClosed) { try await file.syncRange() }
                await expectError(.fileClosed) { try await file.truncate(to: 0) }
                await expectError(.fileClosed) { try await file.allocate(range: 0..<1) }
                await expectError(.fileClosed) { try await file.advise(.normal) }
                await expectError(.fileClosed) { try await file.status() }
                await expectError(.fileClosed) { try await file.close() }
            }
            #expect(try scratch.content("closed") == [1, 2, 3])
        }
    }

    @Test(arguments: engines)
    func onlyOneOfManyClosesSucceeds(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let file = try await File.open("/dev/null", runtime: runtime)
            let closes = (0..<20).map { _ in Task { try await file.close() } }
            var succeeded = 0
            for close in closes {
                do {
                    try await close.value
                    succeeded += 1
                } catch let error as IOError {
                    #expect(error.code == .fileClosed)
                }
            }
            #expect(succeeded == 1)
        }
    }

    @Test(arguments: engines)
    func closeWaitsForOperationsInFlight(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with { ends in
                let file = File(adopting: ends.reading, runtime: runtime)
                ends.reading = -1
                let read = Task { try await file.read(upTo: 1, at: 0) }
                try await eventually { runtime.inFlightCount == 1 }
                let isClosed = Flag()
                let close = Task {
                    try await file.close()
                    isClosed.set()
                }
                // Once new operations are refused, the close has begun.
                while (try? await file.status()) != nil { await Task.yield() }
                #expect(!ends.isReadingEndGone)
                #expect(!isClosed.isSet)
                ends.put([5])
                #expect(try await read.value == [5])
                try await close.value
                try await eventually { ends.isReadingEndGone }
            }
        }
    }

    @Test(arguments: engines)
    func aLeakedFileIsClosedAndLogged(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("leaked", [1])
            let lines = LogLines()
            try await withRuntime(engine, { $0.log = { lines.append($0) } }) { runtime in
                let number = try await leakFile(Path(path), runtime)
                try await eventually { !refersTo(number, path) }
                try await eventually { runtime.inFlightCount == 0 }
            }
            #expect(lines.all.count == 1)
            #expect(lines.all.allSatisfy { $0.contains(path) && $0.contains("close()") }, "\(lines.all)")
        }
    }

    @Test(arguments: engines)
    func aFileThatOutlivesItsRuntimeIsStillClosed(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("outlives", [1])
            let lines = LogLines()
            var file: File?
            try await withRuntime(engine, { $0.log = { lines.append($0) } }) { runtime in
                file = try await File.open(Path(path), runtime: runtime)
            }
            let number = try #require(file?.descriptor.number)
            #expect(refersTo(number, path))
            file = nil
            #expect(!refersTo(number, path))
            #expect(lines.all.count == 1)
        }
    }

    private func leakFile(_ path: Path, _ runtime: IORuntime) async throws -> Int32 {
        let file = try await File.open(path, runtime: runtime)
        return file.descriptor.number
    }

    /// Whether a descriptor of this process refers to that file: the number alone may have been reused.
    private func refersTo(_ number: Int32, _ path: String) -> Bool {
        var buffer = [CChar](repeating: 0, count: 512)
        let count = readlink("/proc/self/fd/\(number)", &buffer, buffer.count)
        return count > 0 && String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) == path
    }

    @Test(arguments: engines)
    func withFileClosesWhateverHappens(_ engine: EngineKind) async throws {
        struct Unhappy: Error {}
        try await withScratch { scratch in
            let path = Path(try scratch.file("with", [1]))
            try await withRuntime(engine) { runtime in
                nonisolated(unsafe) var kept: File?
                await #expect(throws: Unhappy.self) {
                    try await withFile(path, runtime: runtime) { file in
                        kept = file
                        throw Unhappy()
                    }
                }
                await expectError(.fileClosed) { try await kept?.status() }
                let size = try await withFile(path, runtime: runtime) { file in
                    kept = file
                    return try await file.status().size
                }
                #expect(size == 1)
                await expectError(.fileClosed) { try await kept?.status() }
                // The body has closed it: the second close throws an error.
                await expectError(.fileClosed) {
                    try await withFile(path, runtime: runtime) { file in try await file.close() }
                }
            }
        }
    }

    @Test(arguments: engines)
    func withFileClosesWhenItsTaskIsCancelled(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("cancelled", [1]))
            try await withRuntime(engine) { runtime in
                let kept = Locked<File?>(nil)
                let task = Task {
                    try await withFile(path, runtime: runtime) { file in
                        kept.withLock { $0 = file }
                        while !Task.isCancelled { await Task.yield() }
                        return try await file.status().size
                    }
                }
                try await eventually { kept.withLock { $0 != nil } }
                task.cancel()
                await expectError(.cancelled) { try await task.value }
                let file = try #require(kept.withLock { $0 })
                await expectError(.fileClosed) { try await file.read(upTo: 1, at: 0) }
            }
        }
    }

    @Test(arguments: engines)
    func openOptionsDoWhatTheySay(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(scratch.path("options"))
            try await withRuntime(engine) { runtime in
                try await withFile(
                    path, .write, options: [.create, .exclusive], permissions: 0o640, runtime: runtime
                ) { file in
                    try await file.writeAll([1, 2, 3], at: 0)
                    let status = try await file.status()
                    #expect(status.permissions == 0o640 & ~currentMask())
                    #expect(status.size == 3 && status.isRegularFile && !status.isDirectory)
                }
                try await withFile(path, .write, options: .truncate, runtime: runtime) { file in
                    let status = try await file.status()
                    #expect(status.size == 0)
                }
                try await withFile(path, .write, options: [.dataSync], runtime: runtime) { file in
                    try await file.writeAll([1], at: 0)
                    #expect(fcntl(file.descriptor.number, F_GETFD) & FD_CLOEXEC != 0)
                }
                #expect(symlink(scratch.path("options"), scratch.path("link")) == 0)
                let error = await expectError(.other) {
                    try await File.open(Path(scratch.path("link")), options: .noFollow, runtime: runtime)
                }
                #expect(error?.errno?.rawValue == ELOOP)
            }
        }
    }

    private func currentMask() -> UInt16 {
        let mask = umask(0o22)
        umask(mask)
        return UInt16(mask)
    }

    // MARK: Buffers

    @Test(arguments: engines)
    func buffersAreAlignedAndComeBackToTheirPool(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            for count in [0, 1, 4096, 4097, 100_000, 1 << 24] {
                let buffer = try await runtime.acquireBuffer(count: count)
                #expect(buffer.count == count)
                #expect(buffer.capacity >= max(count, 1))
                let address = buffer.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
                #expect(address % 4096 == 0)
            }
            await expectError(.invalidArgument) {
                let buffer = try await runtime.acquireBuffer(count: 1 << 25)
                return buffer.count
            }
            await expectError(.invalidArgument) {
                let buffer = try await runtime.acquireBuffer(count: -1)
                return buffer.count
            }
        }
    }

    @Test(arguments: engines)
    func aPoolAtItsLimitMakesCallersWait(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            // 256 MiB in buffers of 16 MiB.
            var buffers = BufferList()
            for _ in 0..<16 { buffers.append(try await runtime.acquireBuffer(count: 1 << 24)) }
            let waiting = Task { try await runtime.acquireBuffer(count: 1).count }
            let cancelled = Task { try await runtime.acquireBuffer(count: 1).count }
            cancelled.cancel()
            await expectError(.cancelled) { try await cancelled.value }
            buffers.removeLast()
            #expect(try await waiting.value == 1)
        }
    }

    @Test(arguments: engines)
    func vectorsAreReadAndWrittenThroughAFile(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let content = KnownContent(seed: 31)
            try await withRuntime(engine) { runtime in
                let path = Path(scratch.path("vectors"))
                try await withFile(path, .readWrite, options: .create, runtime: runtime) { file in
                    var source = IOVector(capacity: 3)
                    for (count, offset) in [(5000, 0), (1, 5000), (8192, 5001)] {
                        var buffer = try await runtime.acquireBuffer(count: count)
                        buffer.withUnsafeMutableBytes { content.fill($0.baseAddress!, count: count, at: Int64(offset)) }
                        source.append(buffer)
                    }
                    #expect(source.byteCount == 13_193)
                    let written = try await file.write(source, at: 0)
                    #expect(written == 13_193)
                    var target = IOVector(capacity: 2)
                    for _ in 0..<2 { target.append(try await runtime.acquireBuffer(count: 8000)) }
                    let read = try await file.read(into: &target, at: 0)
                    #expect(read == 13_193)
                    for (index, count) in [8000, 5193].enumerated() {
                        let wrong = target.withUnsafeBytes(ofBufferAt: index) {
                            content.mismatch($0.baseAddress!, count: count, at: Int64(index) * 8000)
                        }
                        #expect(wrong == nil)
                    }
                }
            }
        }
    }
}

/// Buffers are noncopyable, so an array cannot hold them.
private struct BufferList: ~Copyable {
    private var vector = IOVector(capacity: 64)

    mutating func append(_ buffer: consuming IOBuffer) { vector.append(buffer) }
    mutating func removeLast() { _ = vector.removeLast() }
}

/// The lines that a runtime logged.
final class LogLines: Sendable {
    private let lines = Locked<[String]>([])

    func append(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
}
