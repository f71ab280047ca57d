import AIO
import CKernel
import Glibc
import Synchronization
import Testing
import UnitSupport

/// Write-behind: all data arrive, memory is bounded, and no error is lost.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct BufferedWriterTests {
    private let content = KnownContent(seed: 6)

    /// Writes `size` bytes of the content in pieces of random size.
    private func write(_ writer: BufferedWriter, size: Int) async throws {
        var random = SplitMix(UInt64(size))
        var done = 0
        while done < size {
            let count = min(Int.random(in: 0...9000, using: &random), size - done)
            try await writer.write(content.bytes(count: count, at: Int64(done)))
            done += count
        }
    }

    @Test(arguments: engines, [[], .append] as [File.OpenOptions])
    func everythingWrittenIsInTheFile(_ engine: EngineKind, _ options: File.OpenOptions) async throws {
        for bufferSize in [1000, 4096, 100_000] {
            try await withScratch { scratch in
                let path = Path(try scratch.file("out", [1, 2, 3]))
                try await withRuntime(engine) { runtime in
                    try await withFile(path, .write, options: options, runtime: runtime) { file in
                        let writer = try BufferedWriter(file, at: 3, bufferSize: bufferSize, inFlightLimit: 400_000)
                        try await write(writer, size: 300_000)
                        #expect(writer.position == 300_003)
                        try await writer.close()
                        #expect(runtime.bufferBytesInUse == 0)
                    }
                }
                let written = try scratch.content("out")
                #expect(Array(written.prefix(3)) == [1, 2, 3])
                #expect(content.mismatch(Array(written.dropFirst(3)), at: 0) == nil && written.count == 300_003)
            }
        }
    }

    @Test(arguments: engines, [StreamKind.pipe, .socket, .fifo])
    func aStreamGetsItInOrder(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withWriting(engine, kind) { ends, file in
            let reading = ends.reading
            let reader = Task { try await BlockingThread.with { readToEnd(reading) } }
            let writer = try BufferedWriter(file, bufferSize: 4096, inFlightLimit: 40_000)
            try await write(writer, size: 300_000)
            try await writer.write("end")
            try await writer.close()
            try await file.close()
            let bytes = try await reader.value
            #expect(content.mismatch(Array(bytes.dropLast(3)), at: 0) == nil && bytes.count == 300_003)
            #expect(bytes.suffix(3) == Array("end".utf8)[...])
        }
    }

    @Test(arguments: engines)
    func whatIsFlushedIsThereForOthers(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("out"))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .readWrite, runtime: runtime) { file in
                    let writer = try BufferedWriter(file, bufferSize: 4096)
                    try await writer.flush()
                    try await writer.write("one")
                    #expect(try scratch.content("out") == [])
                    try await writer.flush()
                    #expect(try scratch.content("out") == Array("one".utf8))
                    try await writer.write(" two")
                    try await writer.flush(sync: .data)
                    #expect(try scratch.content("out") == Array("one two".utf8))
                    try await writer.close(sync: .full)
                    try await writer.close()
                    await expectError(.fileClosed) { try await writer.write("three") }
                    await expectError(.fileClosed) { try await writer.flush() }
                }
            }
        }
    }

    @Test(arguments: engines)
    func theFirstErrorIsThrownByEveryLaterCall(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withFile("/dev/full", .write, runtime: runtime) { file in
                let writer = try BufferedWriter(file, bufferSize: 4096)
                try await writer.write("lost")
                for _ in 0..<2 {
                    let error = await expectError(.noSpace) { try await writer.flush() }
                    #expect(error?.operation == "write")
                    #expect(error?.path == "/dev/full")
                }
                await expectError(.noSpace) { try await writer.write("more") }
                await expectError(.noSpace) { try await writer.close() }
                // The caller received the error, so the drop is not logged.
            }
            #expect(runtime.bufferBytesInUse == 0)
        }
    }

    @Test(arguments: engines)
    func aCloseThatFailedFailsAgain(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withFile("/dev/full", .write, runtime: runtime) { file in
                let writer = try BufferedWriter(file, bufferSize: 4096)
                try await writer.write("lost")
                for _ in 0..<3 {
                    let error = await expectError(.noSpace) { try await writer.close() }
                    #expect(error?.path == "/dev/full")
                }
                await expectError(.noSpace) { try await writer.write("more") }
            }
            // What is written arrives, and the sync of a stream is refused.
            let (reader, stream) = try await AIO.Pipe.make(runtime: runtime)
            let writer = try BufferedWriter(stream)
            try await writer.write("told")
            for _ in 0..<2 { await expectError(.notSupported) { try await writer.close(sync: .full) } }
            try await stream.close()
            #expect(try await reader.readToEnd() == Array("told".utf8))
            try await reader.close()
        }
    }

    @Test(arguments: engines)
    func aWriteBehindThatFailedIsHeardOfWithoutAFlush(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("in"))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .read, runtime: runtime) { file in
                    let writer = try BufferedWriter(file, bufferSize: 4096, inFlightLimit: 8192)
                    let error = await expectError(.badDescriptor) {
                        while true { try await writer.write([UInt8](repeating: 1, count: 1000)) }
                    }
                    #expect(error?.path == path)
                    #expect(runtime.inFlightCount == 0)
                }
            }
        }
    }

    /// A stream without a reader takes the limit's buffers and one more, which is being filled.
    @Test(arguments: engines, [StreamKind.pipe, .socket, .fifo])
    func aWriteWaitsAtTheLimitAndEndsWhenCancelled(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withWriting(engine, kind) { ends, file in
            _ = ends.fillUp()
            let runtime = file.runtime
            let written = Counter()
            let writing = Task {
                let writer = try BufferedWriter(file, bufferSize: 4096, inFlightLimit: 3 * 4096)
                while true {
                    try await writer.write([UInt8](repeating: 1, count: 1024))
                    written.increment()
                }
            }
            // Sixteen pieces fill four buffers; the call with the last piece waits.
            try await eventually { written.count == 15 && runtime.inFlightCount == 1 }
            #expect(runtime.bufferBytesInUse == 4 * 4096)
            writing.cancel()
            await expectError(.cancelled) { try await writing.value }
            #expect(written.count == 15)
            #expect(runtime.inFlightCount == 0)
        }
    }

    /// As the one that is cancelled; the writes in flight end with the call.
    @Test(arguments: engines, [StreamKind.pipe, .socket, .fifo])
    func aWriteWaitsAtTheLimitUntilItsDeadline(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withWriting(engine, kind) { ends, file in
            _ = ends.fillUp()
            let runtime = file.runtime
            let writer = try BufferedWriter(file, bufferSize: 4096, inFlightLimit: 3 * 4096)
            for _ in 0..<15 { try await writer.write([UInt8](repeating: 1, count: 1024), deadline: .farAway) }
            try await eventually { runtime.inFlightCount == 1 }
            // A call that begins after its deadline does nothing, and the writes go on.
            repeat {
                await expectError(.deadlineExceeded) {
                    try await writer.write([UInt8](repeating: 1, count: 1024), deadline: .soon)
                }
            } while runtime.inFlightCount > 0
            await expectError(.deadlineExceeded) { try await writer.write([1]) }
            await expectError(.deadlineExceeded) { try await writer.flush() }
            await expectError(.deadlineExceeded) { try await writer.close() }
        }
    }

    @Test(arguments: engines, [true, false])
    func aFlushAndACloseEndAtTheirDeadline(_ engine: EngineKind, _ isClose: Bool) async throws {
        try await withWriting(engine, .pipe) { ends, file in
            _ = ends.fillUp()
            // One buffer is in flight from the first byte on.
            let writer = try BufferedWriter(file, bufferSize: 1)
            try await writer.write("s")
            try await eventually { file.runtime.inFlightCount == 1 }
            repeat {
                let error = await expectError(.deadlineExceeded) {
                    guard isClose else { return try await writer.flush(deadline: .soon) }
                    try await writer.close(deadline: .soon)
                }
                #expect(error?.operation == "write")
            } while file.runtime.inFlightCount > 0
            await expectError(.deadlineExceeded) { try await writer.close() }
        }
    }

    /// The file has exactly what was written in time.
    @Test(arguments: engines)
    func aCallAfterItsDeadlineDoesNothing(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("out"))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .write, runtime: runtime) { file in
                    let writer = try BufferedWriter(file)
                    let past = Deadline.now
                    try await writer.write("in time", deadline: .farAway)
                    await expectError(.deadlineExceeded) { try await writer.write("late", deadline: past) }
                    await expectError(.deadlineExceeded) { try await writer.write([1], deadline: past) }
                    await expectError(.deadlineExceeded) { try await writer.flush(deadline: past) }
                    let error = await expectError(.deadlineExceeded) { try await writer.close(deadline: past) }
                    #expect(error?.path == path && writer.position == 7)
                    try await writer.write(", all", deadline: .farAway)
                    try await writer.flush(sync: .data, deadline: .farAway)
                    try await writer.close(sync: .full, deadline: .farAway)
                }
            }
            #expect(try scratch.content("out") == Array("in time, all".utf8))
        }
    }

    /// The pool has one buffer left, although the limit allows four in flight.
    @Test(arguments: engines)
    func aPoolThatIsNearlyUsedUpMakesItSlowerAndNoMore(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withFile("/dev/null", .write, runtime: runtime) { file in
                try await HeldBuffers.with(runtime) {
                    let writer = try BufferedWriter(file, bufferSize: 16 << 20, inFlightLimit: 64 << 20)
                    let piece = [UInt8](repeating: 1, count: 10 << 20)
                    for _ in 0..<6 { try await writer.write(piece) }
                    try await writer.close()
                    #expect(writer.position == 60 << 20)
                }
            }
        }
    }

    @Test(arguments: engines)
    func aWriterThatIsDroppedWithBytesSaysSo(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("out")
            let log = Atomic(0)
            try await withRuntime(
                engine,
                {
                    $0.log = { line in
                        #expect(line == "writer of \(path) was dropped without close(): 5 bytes were not written")
                        log.wrappingAdd(1, ordering: .relaxed)
                    }
                }
            ) { runtime in
                try await withFile(Path(path), .write, runtime: runtime) { file in
                    for isFlushed in [true, false] {
                        let writer = try BufferedWriter(file)
                        try await writer.write("bytes")
                        if isFlushed { try await writer.flush() }
                    }
                }
            }
            #expect(log.load(ordering: .relaxed) == 1)
        }
    }

    @Test(arguments: engines)
    func whatCannotBeIsRefused(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let file = try await File.open("/dev/null", .write, runtime: runtime)
            await expectError(.invalidArgument) { try BufferedWriter(file, at: -1).position }
            await expectError(.invalidArgument) { try BufferedWriter(file, bufferSize: 0).position }
            try await file.close()
            await expectError(.fileClosed) { try BufferedWriter(file).position }
        }
    }

    /// A stream whose writing end is a `File`. `ends` keeps the reading end.
    private func withWriting(
        _ engine: EngineKind, _ kind: StreamKind, _ body: (inout Ends, File) async throws -> Void
    ) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with(kind) { ends in
                let file = File(adopting: ends.writing, runtime: runtime)
                do { try await body(&ends, file) } catch {
                    try? await file.close()
                    throw error
                }
                ends.writing = -1
                // One of the cases has closed it already.
                try? await file.close()
            }
        }
    }
}
