import AIO
import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// Reads return what was written, on every file system and with many operations in flight.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct DataTests {
    /// Many tasks read and rewrite random ranges of two files concurrently. The content follows from the offset, so
    /// that every read can be checked. At the end both files are read without the library.
    @Test(arguments: engines, FileSystem.allCases)
    func whatManyTasksReadIsWhatWasWritten(_ engine: EngineKind, _ fileSystem: FileSystem) async throws {
        try await withScratch(on: fileSystem) { scratch in
            let size = 2 << 20
            try await withRuntime(
                engine,
                {
                    $0.queueDepth = 64; $0.workerLimit = 8
                }
            ) { runtime in
                let files = try await DataFile.open(scratch, runtime, size: size)
                for file in files { try await file.fill() }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for task in 0..<64 {
                        group.addTask { try await files[task % 2].readAndRewrite(seed: UInt64(task), rounds: 24) }
                    }
                    try await group.waitForAll()
                }
                for file in files { try await file.close() }
            }
            for (index, name) in DataFile.names.enumerated() {
                let content = try scratch.content(name)
                #expect(content.count == size)
                #expect(KnownContent(seed: UInt64(index)).mismatch(content, at: 0) == nil)
            }
        }
    }

    /// The same through one `IOQueue` that is kept full.
    @Test(arguments: engines, FileSystem.allCases)
    func whatAFullQueueReadsIsWhatWasWritten(_ engine: EngineKind, _ fileSystem: FileSystem) async throws {
        try await withScratch(on: fileSystem) { scratch in
            let content = KnownContent(seed: 7)
            let size = 2 << 20
            let path = try scratch.file("queue", content.bytes(count: size, at: 0))
            let descriptor = try openDescriptor(path, O_RDWR)
            defer { closeDescriptor(descriptor) }
            try await withQueue(
                engine,
                {
                    $0.queueDepth = 48; $0.workerLimit = 8
                }
            ) { queue in
                let exchange = QueueExchange(descriptor, content, size: size, places: 48)
                try exchange.run(queue, operations: 1500)
            }
            #expect(content.mismatch(try scratch.content("queue"), at: 0) == nil)
        }
    }

    /// Adjacent blocks written by separate operations: none is lost, and none overwrites its neighbour.
    @Test(arguments: engines, FileSystem.allCases)
    func blocksWrittenAtOnceAndInAnyOrderAllArrive(_ engine: EngineKind, _ fileSystem: FileSystem) async throws {
        try await withScratch(on: fileSystem) { scratch in
            let content = KnownContent(seed: 8)
            let path = Path(scratch.path("blocks"))
            var random = SplitMix(1)
            let order = (0..<400).shuffled(using: &random)
            try await withRuntime(engine) { runtime in
                try await withFile(path, .readWrite, options: .create, runtime: runtime) { file in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for block in order {
                            group.addTask {
                                // Not whole pages: neighbours share pages.
                                let offset = Int64(block) * 1000
                                try await file.writeAll(content.bytes(count: 1000, at: offset), at: offset)
                            }
                        }
                        try await group.waitForAll()
                    }
                    try await file.sync()
                }
            }
            let written = try scratch.content("blocks")
            #expect(written.count == 400_000)
            #expect(content.mismatch(written, at: 0) == nil)
        }
    }

    @Test(arguments: engines, FileSystem.allCases)
    func coldReadsReturnWhatIsOnTheDevice(_ engine: EngineKind, _ fileSystem: FileSystem) async throws {
        try await withScratch(on: fileSystem) { scratch in
            let content = KnownContent(seed: 9)
            let size = 1 << 20
            let path = Path(try scratch.file("cold", content.bytes(count: size, at: 0)))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .readWrite, runtime: runtime) { file in
                    try await file.sync()
                    try await file.advise(.dontNeed)
                    try await withThrowingTaskGroup(of: Int64?.self) { group in
                        for block in 0..<256 {
                            group.addTask {
                                let offset = Int64(block) * 4096
                                return content.mismatch(try await file.readExactly(count: 4096, at: offset), at: offset)
                            }
                        }
                        for try await mismatch in group { #expect(mismatch == nil) }
                    }
                }
            }
        }
    }

    /// A read with RWF_NOWAIT stops where the cached range ends, which is not the end of the file.
    @Test(arguments: engines, FileSystem.allCases)
    func aReadOfAPartlyCachedRangeReturnsAllOfIt(_ engine: EngineKind, _ fileSystem: FileSystem) async throws {
        try await withScratch(on: fileSystem) { scratch in
            let content = KnownContent(seed: 14)
            let path = Path(try scratch.file("partly", content.bytes(count: 65_536, at: 0)))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .readWrite, runtime: runtime) { file in
                    try await file.sync()
                    for cached in [Int64(4096), 8192, 32_768] {
                        try await file.advise(.willNeed, range: 0..<cached)
                        try await file.advise(.dontNeed, range: cached..<Int64.max)
                        let bytes = try await file.read(upTo: 65_536, at: 0)
                        #expect(bytes.count == 65_536)
                        #expect(content.mismatch(bytes, at: 0) == nil)
                        try await file.advise(.dontNeed, range: cached..<Int64.max)
                        let memory = Memory(count: 65_536)
                        let read = Operation.read(memory.transfer(file.descriptor.number, kind: .buffered))
                        #expect(try await runtime.perform(read) == 65_536)
                    }
                }
            }
        }
    }

    @Test(arguments: engines, FileSystem.allCases)
    func directTransfersCarryTheData(_ engine: EngineKind, _ fileSystem: FileSystem) async throws {
        try await withScratch(on: fileSystem) { scratch in
            let content = KnownContent(seed: 10)
            let path = Path(scratch.path("direct"))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .readWrite, options: [.create, .direct], runtime: runtime) { file in
                    #expect(file.descriptor.kind == .direct)
                    for block in 0..<16 {
                        var buffer = try await runtime.acquireBuffer(count: 16384)
                        buffer.withUnsafeMutableBytes {
                            content.fill($0.baseAddress!, count: 16384, at: Int64(block) * 16384)
                        }
                        buffer.count = 16384
                        #expect(try await file.write(buffer, at: Int64(block) * 16384) == 16384)
                    }
                    for block in (0..<16).reversed() {
                        var buffer = try await runtime.acquireBuffer(count: 16384)
                        #expect(try await file.read(into: &buffer, at: Int64(block) * 16384) == 16384)
                        let wrong = buffer.withUnsafeBytes {
                            content.mismatch($0.baseAddress!, count: 16384, at: Int64(block) * 16384)
                        }
                        #expect(wrong == nil)
                    }
                }
            }
            #expect(content.mismatch(try scratch.content("direct"), at: 0) == nil)
        }
    }

    /// Larger than the limit for copying on the caller's thread, and unaligned.
    @Test(arguments: engines, FileSystem.allCases)
    func aLargeTransferArrivesWhole(_ engine: EngineKind, _ fileSystem: FileSystem) async throws {
        try await withScratch(on: fileSystem) { scratch in
            let content = KnownContent(seed: 11)
            let bytes = content.bytes(count: 1_500_001, at: 77)
            try await withRuntime(engine) { runtime in
                let path = Path(scratch.path("large"))
                try await withFile(path, .readWrite, options: .create, runtime: runtime) { file in
                    try await file.writeAll(bytes, at: 77)
                    #expect(try await file.readExactly(count: bytes.count, at: 77) == bytes)
                }
            }
            #expect(try scratch.content("large") == [UInt8](repeating: 0, count: 77) + bytes)
        }
    }

    @Test(arguments: engines, FileSystem.allCases)
    func holesReadAsZeros(_ engine: EngineKind, _ fileSystem: FileSystem) async throws {
        try await withScratch(on: fileSystem) { scratch in
            try await withRuntime(engine) { runtime in
                let path = Path(scratch.path("holes"))
                try await withFile(path, .readWrite, options: .create, runtime: runtime) { file in
                    try await file.writeAll([1], at: 1 << 20)
                    #expect(try await file.read(upTo: 4096, at: 8192) == [UInt8](repeating: 0, count: 4096))
                    try await file.writeAll([UInt8](repeating: 9, count: 8192), at: 0)
                    try await file.allocate(range: 0..<4096, [.punchHole, .keepSize])
                    #expect(try await file.read(upTo: 2, at: 4095) == [0, 9])
                    let status = try await file.status()
                    #expect(status.size == 1 << 20 + 1)
                    #expect(status.allocatedSize < 1 << 20)
                }
            }
        }
    }

    @Test(arguments: engines, FileSystem.allCases)
    func shortReadAtEndOfFileReturnsFewerBytes(_ engine: EngineKind, _ fileSystem: FileSystem) async throws {
        try await withScratch(on: fileSystem) { scratch in
            let content = KnownContent(seed: 12)
            let path = Path(try scratch.file("short", content.bytes(count: 5000, at: 0)))
            try await withRuntime(engine) { runtime in
                try await withFile(path, runtime: runtime) { file in
                    let tail = try await file.read(upTo: 4096, at: 4000)
                    #expect(tail.count == 1000)
                    #expect(content.mismatch(tail, at: 4000) == nil)
                    for offset in [Int64(5000), 5001, 1 << 40] {
                        let nothing = try await file.read(upTo: 4096, at: offset)
                        #expect(nothing.isEmpty)
                    }
                    let none = try await file.read(upTo: 0, at: 0)
                    #expect(none.isEmpty)
                    let all = try await file.read(upTo: 1 << 20, at: 0)
                    #expect(all.count == 5000)
                    let error = await expectError(.unexpectedEndOfFile) {
                        try await file.readExactly(count: 4096, at: 4000)
                    }
                    #expect(error?.path == path)
                }
            }
        }
    }

    @Test(arguments: ways, FileSystem.allCases)
    func shortVectoredReadFillsTheFirstBuffersOnly(_ way: Way, _ fileSystem: FileSystem) async throws {
        try await withScratch(on: fileSystem) { scratch in
            let content = KnownContent(seed: 13)
            let descriptor = try openDescriptor(try scratch.file("shortv", content.bytes(count: 1500, at: 0)))
            defer { closeDescriptor(descriptor) }
            try await way.run { performer in
                let vectors = Vectors([Memory(count: 1000), Memory(count: 1000), Memory(count: 1000)])
                try await performer.expect(.readVectored(vectors.transfer(descriptor)), completesWith: 1500)
                #expect(content.mismatch(vectors.parts[0].bytes, at: 0) == nil)
                #expect(content.mismatch(vectors.parts[1].bytes(500), at: 1000) == nil)
                #expect(vectors.parts[1].bytes[500...].allSatisfy { $0 == 0 })
                #expect(vectors.parts[2].bytes.allSatisfy { $0 == 0 })
            }
        }
    }

    @Test(arguments: engines, FileSystem.allCases)
    func appendedWritesAllLandAtTheEnd(_ engine: EngineKind, _ fileSystem: FileSystem) async throws {
        try await withScratch(on: fileSystem) { scratch in
            try await withRuntime(engine) { runtime in
                let path = Path(scratch.path("append"))
                try await withFile(path, .write, options: [.create, .append], runtime: runtime) { file in
                    try await withThrowingTaskGroup(of: Int.self) { group in
                        for byte in UInt8(0)..<100 {
                            group.addTask { try await file.write([UInt8](repeating: byte, count: 10), at: 0) }
                        }
                        for try await count in group { #expect(count == 10) }
                    }
                }
            }
            let content = try scratch.content("append")
            #expect(content.count == 1000)
            let pieces = stride(from: 0, to: content.count, by: 10).map { Set(content[$0..<$0 + 10]) }
            #expect(pieces.allSatisfy { $0.count == 1 })
            #expect(Set(pieces).count == 100)
        }
    }

    /// On a separate file system, so that it does not fill up those of other tests.
    @Test(arguments: engines)
    func aWriteWithoutSpaceIsShortAndThenFails(_ engine: EngineKind) async throws {
        let small = try DetachedMount.orSkip("tmpfs", [("size", "1m")])
        defer { small.release() }
        try await withScratch(in: small.root) { scratch in
            try await withRuntime(engine) { runtime in
                let path = Path(scratch.path("full"))
                try await withFile(path, .readWrite, options: .create, runtime: runtime) { file in
                    let bytes = [UInt8](repeating: 1, count: 1_500_000)
                    let written = try await file.write(bytes, at: 0)
                    #expect(written == 1 << 20)
                    await expectError(.noSpace) { try await file.write(bytes, at: 1 << 20) }
                    await expectError(.noSpace) { try await file.writeAll(bytes, at: 0) }
                    await expectError(.noSpace) { try await file.allocate(range: 2 << 20..<6 << 20) }
                }
            }
        }
    }
}
