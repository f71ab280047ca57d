import AIO
import Glibc
import Testing
import UnitSupport

/// Reading piece by piece: exact counts, delimiters, peeking. An error consumes nothing.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct BufferedReaderTests {
    private let content = KnownContent(seed: 5)

    private func withContent(
        _ engine: EngineKind, _ bytes: [UInt8], _ body: (File) async throws -> Void
    ) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("content", bytes)
            try await withRuntime(engine) { runtime in
                try await withFile(Path(path), runtime: runtime, body)
                #expect(runtime.bufferBytesInUse == 0)
            }
        }
    }

    @Test(arguments: engines, [1, 4096, 10_000, 1 << 20])
    func exactReadsOfAnySizeHoldTheContentInOrder(_ engine: EngineKind, _ bufferSize: Int) async throws {
        let size = 300_000
        try await withContent(engine, content.bytes(count: size, at: 0)) { file in
            let reader = try BufferedReader(file, at: 17, bufferSize: bufferSize)
            var random = SplitMix(UInt64(bufferSize))
            while reader.position < size {
                let position = reader.position
                let count = min(Int.random(in: 0...20_000, using: &random), size - Int(position))
                let peeked = try await reader.peek(upTo: min(count, 9000))
                let bytes = try await reader.readExactly(count: count)
                #expect(content.mismatch(bytes, at: position) == nil && bytes.count == count)
                #expect(bytes.starts(with: peeked) && peeked.count == min(count, 9000))
                #expect(reader.position == position + Int64(count))
            }
            #expect(try await reader.read(upTo: 10) == [])
            #expect(try await reader.peek(upTo: 10) == [])
            #expect(try await reader.readExactly(count: 0) == [])
        }
    }

    @Test(arguments: engines, [7, 100_000])
    func tooFewBytesAreNotTaken(_ engine: EngineKind, _ count: Int) async throws {
        try await withContent(engine, [1, 2, 3, 4, 5]) { file in
            let reader = try BufferedReader(file, bufferSize: 16)
            #expect(try await reader.read(upTo: 1) == [1])
            let error = await expectError(.unexpectedEndOfFile) { try await reader.readExactly(count: count) }
            #expect(error?.path == file.path)
            #expect(reader.position == 1)
            #expect(try await reader.readExactly(count: 4) == [2, 3, 4, 5])
        }
    }

    @Test(arguments: engines)
    func aDelimiterEndsAPieceAndBelongsToIt(_ engine: EngineKind) async throws {
        let long = [UInt8](repeating: 97, count: 30_000)
        try await withContent(engine, Array("a;bc;;".utf8) + long + Array(";end".utf8)) { file in
            let reader = try BufferedReader(file, bufferSize: 4096)
            var pieces: [[UInt8]] = []
            while let piece = try await reader.read(until: UInt8(ascii: ";")) { pieces.append(piece) }
            #expect(pieces == [Array("a;".utf8), Array("bc;".utf8), Array(";".utf8), long + [59], Array("end".utf8)])
            #expect(reader.position == 30_010)
        }
    }

    @Test(arguments: engines)
    func aLimitAboveTheLargestBufferIsThatBuffer(_ engine: EngineKind) async throws {
        let most = 16 << 20
        try await withContent(engine, [UInt8](repeating: 97, count: most) + [10, 98]) { file in
            let reader = try BufferedReader(file)
            for limit in [most, most + 1, .max] {
                let error = await expectError(.lineTooLong) { try await reader.read(until: 10, limit: limit) }
                #expect(error?.advice?.contains("\(most)") == true && reader.position == 0)
            }
            #expect(try await reader.read(upTo: 1) == [97])
            #expect(try await reader.read(until: 10, limit: .max)?.count == most)
            #expect(try await reader.read(until: 10, limit: .max) == [98])
        }
    }

    @Test(arguments: engines)
    func whatIsLongerThanTheLimitIsNotTaken(_ engine: EngineKind) async throws {
        try await withContent(engine, [UInt8](repeating: 97, count: 20_000) + [10, 98]) { file in
            let reader = try BufferedReader(file, bufferSize: 4096)
            for limit in [0, 1, 5000, 20_000] {
                let error = await expectError(.lineTooLong) { try await reader.read(until: 10, limit: limit) }
                #expect(error?.path == file.path)
                #expect(reader.position == 0)
            }
            #expect(try await reader.read(until: 10, limit: 20_001)?.count == 20_001)
            #expect(try await reader.read(until: 10, limit: 5) == [98])
        }
    }

    @Test(arguments: engines)
    func skippingMovesThePositionOfAFile(_ engine: EngineKind) async throws {
        try await withContent(engine, content.bytes(count: 100_000, at: 0)) { file in
            let reader = try BufferedReader(file, bufferSize: 4096)
            _ = try await reader.read(upTo: 1)
            for count in [0, 10, 5000, 60_000] as [Int64] {
                let position = reader.position
                #expect(try await reader.skip(count) == count)
                #expect(reader.position == position + count)
                let bytes = try await reader.readExactly(count: 100)
                #expect(content.mismatch(bytes, at: position + count) == nil)
            }
            try await reader.skip(1 << 40)
            #expect(try await reader.read(upTo: 1) == [])
        }
    }

    @Test(arguments: engines, StreamKind.allCases)
    func aStreamIsReadInTheSameWay(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withStream(engine, kind) { ends, file in
            let reader = try BufferedReader(file, bufferSize: 16)
            ends.put(Array("head:body".utf8))
            #expect(try await reader.peek(upTo: 2) == Array("he".utf8))
            #expect(try await reader.read(until: UInt8(ascii: ":")) == Array("head:".utf8))
            #expect(try await reader.skip(1) == 1)
            #expect(try await reader.readExactly(count: 3) == Array("ody".utf8))
            #expect(reader.position == 9)
        }
    }

    @Test(arguments: engines, [StreamKind.pipe, .socket, .fifo])
    func theEndOfAStreamEndsWhatIsAskedFor(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withStream(engine, kind) { ends, file in
            let reader = try BufferedReader(file, bufferSize: 16)
            ends.put(Array(0..<50))
            ends.closeWriting()
            #expect(try await reader.skip(20) == 20)
            await expectError(.unexpectedEndOfFile) { try await reader.readExactly(count: 31) }
            #expect(try await reader.readExactly(count: 29) == Array(20..<49))
            #expect(try await reader.skip(100) == 1)
            #expect(reader.position == 50)
            #expect(try await reader.read(until: 0) == nil)
        }
    }

    @Test(arguments: engines, StreamKind.allCases)
    func aCancelledReadHasTakenNothing(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withStream(engine, kind) { ends, file in
            ends.put([1, 2])
            let session = Session(try BufferedReader(file))
            let read = Task { try await session.readExactly(count: 4) }
            try await eventually { file.runtime.inFlightCount == 1 }
            read.cancel()
            await expectError(.cancelled) { try await read.value }
            ends.put([3, 4])
            #expect(try await session.readExactly(count: 4) == [1, 2, 3, 4])
        }
    }

    @Test(arguments: engines)
    func aSecondCallAtOnceIsRefused(_ engine: EngineKind) async throws {
        try await withStream(engine, .pipe) { ends, file in
            let session = Session(try BufferedReader(file))
            let read = Task { try await session.readExactly(count: 1) }
            try await eventually { file.runtime.inFlightCount == 1 }
            await expectError(.invalidArgument) { try await session.readExactly(count: 1) }
            ends.put([6])
            #expect(try await read.value == [6])
        }
    }

    @Test(arguments: engines)
    func whatCannotBeIsRefused(_ engine: EngineKind) async throws {
        try await withContent(engine, [1]) { file in
            await expectError(.invalidArgument) { try BufferedReader(file, at: -1).position }
            await expectError(.invalidArgument) { try BufferedReader(file, bufferSize: 0).position }
            await expectError(.invalidArgument) { try BufferedReader(file, bufferSize: 17 << 20).position }
            let reader = try BufferedReader(file)
            await expectError(.invalidArgument) { try await reader.readExactly(count: -1) }
            await expectError(.invalidArgument) { try await reader.skip(-1) }
            await expectError(.invalidArgument) { try await reader.peek(upTo: 17 << 20) }
            #expect(try await reader.read(upTo: 5) == [1])
        }
    }
}

/// An actor whose tasks share a reader.
private actor Session {
    private let reader: BufferedReader

    init(_ reader: sending BufferedReader) { self.reader = reader }

    func readExactly(count: Int) async throws(IOError) -> [UInt8] { try await reader.readExactly(count: count) }
}
