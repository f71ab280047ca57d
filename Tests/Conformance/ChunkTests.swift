import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Files in chunks, with readahead: all content in order, in bounded memory, and nothing left when the loop is left.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ChunkTests {
    private let content = KnownContent(seed: 11)

    /// A file of known content.
    private func withKnownFile(
        _ engine: EngineKind, size: Int, queueDepth: Int = 64, _ body: (File) async throws -> Void
    ) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("known", content.bytes(count: size, at: 0))
            try await withRuntime(engine, { $0.queueDepth = queueDepth }) { runtime in
                try await withFile(Path(path), .readWrite, runtime: runtime, body)
                #expect(runtime.bufferBytesInUse == 0)
            }
        }
    }

    @Test(arguments: engines, [1, 2, 7])
    func chunksHoldTheWholeFileInOrder(_ engine: EngineKind, _ readahead: Int) async throws {
        for size in [0, 1, 4095, 4096, 4097, 40_960, 100_001] {
            try await withKnownFile(engine, size: size) { file in
                var end: Int64 = 0
                for try await chunk in file.chunks(of: 4096, readahead: readahead) {
                    #expect(chunk.offset == end)
                    #expect(chunk.count == min(4096, size - Int(end)))
                    #expect(content.mismatch(chunk.bytes, at: chunk.offset) == nil)
                    end += Int64(chunk.count)
                }
                #expect(end == size)
            }
        }
    }

    @Test(arguments: engines)
    func aRangeIsReadAndNothingElse(_ engine: EngineKind) async throws {
        try await withKnownFile(engine, size: 50_000) { file in
            for range in [0..<0, 100..<101, 5000..<30_000, 49_999..<60_000, 70_000..<80_000] as [Range<Int64>] {
                var bytes: [UInt8] = []
                for try await chunk in file.chunks(of: 3000, range: range) { bytes += chunk.bytes }
                #expect(bytes == content.bytes(count: range.clamped(to: 0..<50_000).count, at: range.lowerBound))
            }
        }
    }

    /// A read of a range that is only partly in the page cache returns that part. This is not the end of the file.
    @Test(arguments: engines)
    func aShortReadIsContinued(_ engine: EngineKind) async throws {
        try await withKnownFile(engine, size: 1 << 20) { file in
            try await file.sync()
            for page in stride(from: Int64(1), to: 256, by: 3) {
                try await file.advise(.dontNeed, range: page * 4096..<(page + 1) * 4096)
            }
            var end: Int64 = 0
            for try await chunk in file.chunks(of: 65_536, readahead: 3) {
                #expect(chunk.count == 65_536)
                #expect(content.mismatch(chunk.bytes, at: end) == nil)
                end += Int64(chunk.count)
            }
            #expect(end == 1 << 20)
        }
    }

    /// After a partial block, direct I/O could not continue.
    @Test(arguments: engines, [4096, 10_000, 10_240, 12_288])
    func directIOReadsAFileThatEndsWithinABlock(_ engine: EngineKind, _ size: Int) async throws {
        try await withScratch(on: .ext4) { scratch in
            let path = Path(try scratch.file("direct", content.bytes(count: size, at: 0)))
            try await withRuntime(engine) { runtime in
                try await withFile(path, options: .direct, runtime: runtime) { file in
                    var bytes: [UInt8] = []
                    for try await chunk in file.chunks(of: 4096, readahead: 2) { bytes += chunk.bytes }
                    #expect(content.mismatch(bytes, at: 0) == nil && bytes.count == size)
                }
            }
        }
    }

    /// Their reported size is 0 or a page, and their reads are short.
    @Test(
        .notSimulated(.mounts), arguments: engines,
        ["/proc/kallsyms", "/proc/cpuinfo", "/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled"])
    func filesOfTheKernelAreReadToTheirEnd(_ engine: EngineKind, _ path: String) async throws {
        guard access(path, R_OK) == 0 else { try Test.cancel("\(skipped("no \(path)"))") }
        let descriptor = try openDescriptor(path)
        let expected = readToEnd(descriptor).prefix(1 << 20)
        closeDescriptor(descriptor)
        try await withRuntime(engine) { runtime in
            try await withFile(Path(path), runtime: runtime) { file in
                var bytes: [UInt8] = []
                for try await chunk in file.chunks(of: 30_000, range: 0..<1 << 20) {
                    #expect(chunk.count == min(30_000, expected.count - bytes.count) || expected.count < 30_000)
                    bytes += chunk.bytes
                }
                #expect(!bytes.isEmpty)
                // Numbers in the files change; the first line is stable.
                #expect(bytes.prefix { $0 != 10 } == expected.prefix { $0 != 10 })
            }
        }
    }

    @Test(arguments: engines, [StreamKind.pipe, .socket, .fifo])
    func aStreamIsReadToItsEnd(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withStream(engine, kind) { ends, file in
            ends.put([1, 2, 3])
            let writing = ends.writing
            let feeder = Task.detached { [ends] in
                for _ in 0..<50 { ends.put([UInt8](repeating: 7, count: 1000)) }
                closeDescriptor(writing)
            }
            ends.writing = -1
            var bytes: [UInt8] = []
            for try await chunk in file.chunks(of: 4096) {
                #expect(chunk.offset == bytes.count)
                bytes += chunk.bytes
            }
            #expect(bytes == [1, 2, 3] + [UInt8](repeating: 7, count: 50_000))
            await feeder.value
        }
    }

    @Test(arguments: engines, StreamKind.allCases)
    func aLoopThatIsLeftHasLostNothingOfAStream(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withStream(engine, kind) { ends, file in
            ends.put([1, 2, 3, 4, 5])
            var bytes: [UInt8] = []
            for _ in 0..<5 {
                for try await chunk in file.chunks(of: 1) {
                    bytes += chunk.bytes
                    break
                }
            }
            #expect(bytes == [1, 2, 3, 4, 5])
            #expect(file.runtime.inFlightCount == 0)
        }
    }

    @Test(arguments: engines)
    func ofAStreamsRangeTheLengthCounts(_ engine: EngineKind) async throws {
        try await withStream(engine, .pipe) { ends, file in
            ends.put(Array(0..<100))
            var bytes: [UInt8] = []
            for try await chunk in file.chunks(of: 16, range: 1000..<1040) { bytes += chunk.bytes }
            #expect(bytes == Array(0..<40))
        }
    }

    @Test(arguments: engines)
    func readsRunAheadAndMemoryIsBounded(_ engine: EngineKind) async throws {
        try await withKnownFile(engine, size: 64 * 4096) { file in
            var isFirst = true
            for try await chunk in file.chunks(of: 4096, readahead: 5) {
                let inUse = file.runtime.bufferBytesInUse
                #expect(inUse == 6 * 4096 || (!isFirst && inUse < 6 * 4096))
                isFirst = false
                withExtendedLifetime(chunk) {}
            }
            #expect(file.runtime.bufferBytesInUse == 0)
        }
    }

    /// The reads ahead would need more than the rest of the pool.
    @Test(arguments: engines)
    func aPoolThatIsNearlyUsedUpMakesItSlowerAndNoMore(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("sparse")
            try #require(truncate(path, 40 << 20) == 0)
            try await withRuntime(engine) { runtime in
                try await withFile(Path(path), runtime: runtime) { file in
                    try await HeldBuffers.with(runtime) {
                        var count = 0
                        for try await chunk in file.chunks(of: 8 << 20) { count += chunk.count }
                        #expect(count == 40 << 20)
                    }
                }
            }
        }
    }

    @Test(arguments: engines)
    func nothingGoesOnWhenTheLoopIsLeft(_ engine: EngineKind) async throws {
        try await withKnownFile(engine, size: 1 << 20) { file in
            for try await chunk in file.chunks(of: 4096, readahead: 16) where chunk.offset == 8192 { break }
            try await eventually { file.runtime.bufferBytesInUse == 0 && file.runtime.inFlightCount == 0 }
        }
    }

    @Test(arguments: engines)
    func aCancelledLoopEndsWithItsReads(_ engine: EngineKind) async throws {
        try await withKnownFile(engine, size: 1 << 20, queueDepth: 1) { file in
            try await file.sync()
            try await file.advise(.dontNeed)
            try await Ends.with { ends in
                // A waiting read occupies the only slot.
                let (runtime, reading) = (file.runtime, ends.reading)
                let read = Task {
                    let memory = Memory(count: 1)
                    return try await runtime.perform(.read(memory.transfer(reading)))
                }
                try await eventually { runtime.inFlightCount == 1 }
                let loop = Task {
                    var bytes: [UInt8] = []
                    for try await chunk in file.chunks(of: 65_536) { bytes += chunk.bytes }
                    return bytes.count
                }
                loop.cancel()
                await expectError(.cancelled) { try await loop.value }
                #expect(runtime.bufferBytesInUse == 0)
                read.cancel()
                await expectError(.cancelled) { try await read.value }
            }
        }
    }

    @Test(arguments: engines, StreamKind.allCases)
    func aCancelledLoopOverASilentStreamEnds(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withStream(engine, kind) { ends, file in
            let loop = Task { for try await _ in file.chunks() {} }
            try await eventually { file.runtime.inFlightCount == 1 }
            loop.cancel()
            await expectError(.cancelled) { try await loop.value }
            ends.put([9])
            #expect(try await file.read(upTo: 10, at: 0) == [9])
        }
    }

    @Test(arguments: engines)
    func aFileThatGrowsIsReadToItsNewEnd(_ engine: EngineKind) async throws {
        try await withKnownFile(engine, size: 10_000) { file in
            var bytes: [UInt8] = []
            for try await chunk in file.chunks(of: 4096, readahead: 1) {
                if chunk.offset == 0 { try await file.writeAll(content.bytes(count: 20_000, at: 10_000), at: 10_000) }
                bytes += chunk.bytes
            }
            #expect(bytes == content.bytes(count: 30_000, at: 0))
        }
    }

    @Test(arguments: engines)
    func aFileThatShrinksEndsEarly(_ engine: EngineKind) async throws {
        try await withKnownFile(engine, size: 1 << 20) { file in
            var count = 0
            for try await chunk in file.chunks(of: 4096, readahead: 2) {
                if chunk.offset == 0 { try await file.truncate(to: 20_000) }
                count += chunk.count
            }
            #expect(count == 20_000)
        }
    }

    @Test(arguments: engines)
    func errorsNameTheFileAndEndTheLoop(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(scratch.folder)
            try await withRuntime(engine) { runtime in
                try await withFile(path, options: .directory, runtime: runtime) { file in
                    let iterator = file.chunks(of: 10).makeAsyncIterator()
                    let error = await expectError(.isDirectory) { try await iterator.next()?.count ?? 0 }
                    #expect(error?.operation == "read")
                    #expect(error?.path == path)
                    let next = try await iterator.next()?.count
                    #expect(next == nil)
                    let impossible = [
                        file.chunks(of: 0), file.chunks(of: 17 << 20), file.chunks(range: -1..<5),
                        file.chunks(readahead: 0),
                    ]
                    for chunks in impossible {
                        await expectError(.invalidArgument) {
                            let iterator = chunks.makeAsyncIterator()
                            return try await iterator.next()?.count ?? 0
                        }
                    }
                }
                let closed = try await File.open(path, options: .directory, runtime: runtime)
                try await closed.close()
                await expectError(.fileClosed) { for try await _ in closed.chunks() {} }
            }
        }
    }
}

/// A stream whose reading end is a `File`. `ends` keeps the writing end.
func withStream<R>(
    _ engine: EngineKind, _ kind: StreamKind, _ body: (inout Ends, File) async throws -> R
) async throws -> R {
    try await withRuntime(engine) { runtime in
        try await Ends.with(kind) { ends in
            let file = File(adopting: ends.reading, runtime: runtime)
            defer { ends.reading = -1 }
            let result: R
            do { result = try await body(&ends, file) } catch {
                try? await file.close()
                throw error
            }
            try await file.close()
            #expect(runtime.bufferBytesInUse == 0)
            return result
        }
    }
}
