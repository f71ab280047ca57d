import AIO
import Glibc
import Testing

/// Several pieces of memory in one write to a connection or a pipe.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct GatheredStreamWriteTests {
    enum Kind: String, CaseIterable, CustomTestStringConvertible {
        case pipe, tcp, unix

        var testDescription: String { rawValue }
    }

    /// More than any of the kernel's buffers, so that a write of it is short.
    private static let size = 16 << 20
    private let content = KnownContent(seed: 21)

    @Test(arguments: engines, Kind.allCases)
    func spansArriveInOrder(_ engine: EngineKind, _ kind: Kind) async throws {
        try await withEnds(engine, kind) { reader, writer in
            let (head, body, tail) = (Array("head".utf8), [UInt8](repeating: 98, count: 2000), Array("tail".utf8))
            let (one, two, three) = (head.span.bytes, body.span.bytes, tail.span.bytes)
            #expect(try await writer.write(one, three) == 8)
            #expect(try await writer.write(RawSpan(), one, two, three) == 2008)
            try await writer.writeAll(three, RawSpan(), one)
            try await writer.writeAll(one, two, RawSpan(), three)
            #expect(try await writer.write(pieces: [[], head, [], [], tail, []]) == 8)
            try await writer.writeAll(pieces: [tail, [], body])
            let spans = [head, tail, head, body, tail, tail, head, head, body, tail]
            let expected = (spans + [head, tail, tail, body]).flatMap(\.self)
            #expect(try await reader.readExactly(count: expected.count) == expected)
        }
    }

    @Test(arguments: engines, Kind.allCases)
    func nothingIsWrittenOfEmptyPieces(_ engine: EngineKind, _ kind: Kind) async throws {
        try await withEnds(engine, kind) { reader, writer in
            #expect(try await writer.write(RawSpan(), RawSpan()) == 0)
            #expect(try await writer.write(pieces: []) == 0)
            #expect(try await writer.write(pieces: [[], []]) == 0)
            try await writer.writeAll(RawSpan(), RawSpan(), RawSpan(), RawSpan())
            try await writer.writeAll(pieces: [[], [], []])
            try await writer.writeAll([9])
            #expect(try await reader.read() == [9])
        }
    }

    /// The pieces end where no buffer of the kernel does.
    @Test(arguments: engines, Kind.allCases)
    func aShortWriteIsContinuedInTheMiddleOfASpan(_ engine: EngineKind, _ kind: Kind) async throws {
        let all = content.bytes(count: Self.size, at: 0)
        let (first, second, third) = (Array(all[..<5]), Array(all[5..<7_000_001]), Array(all[7_000_001...]))
        try await withEnds(engine, kind) { reader, writer in
            let writing = Task {
                try await writer.writeAll(first.span.bytes, second.span.bytes, RawSpan(), third.span.bytes)
            }
            let read = try await reader.readExactly(count: Self.size)
            #expect(content.mismatch(read, at: 0) == nil)
            try await writing.value
        }
    }

    @Test(arguments: engines, Kind.allCases)
    func aSingleWriteTellsHowMuchItWrote(_ engine: EngineKind, _ kind: Kind) async throws {
        let all = content.bytes(count: Self.size, at: 0)
        let (first, second) = (Array(all[..<3]), Array(all[3...]))
        try await withEnds(engine, kind) { reader, writer in
            let written = try await writer.write(first.span.bytes, second.span.bytes)
            #expect(written > 3 && written < Self.size)
            #expect(content.mismatch(try await reader.readExactly(count: written), at: 0) == nil)
        }
    }

    /// One system call takes 1024.
    @Test(arguments: engines, Kind.allCases)
    func anyNumberOfArraysArrivesInOrder(_ engine: EngineKind, _ kind: Kind) async throws {
        for count in [1, 1024, 1025, 5000] {
            let pieces = (0..<count).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 1 + $0 % 170) }
            let expected = pieces.flatMap(\.self)
            try await withEnds(engine, kind) { reader, writer in
                let writing = Task {
                    try await writer.writeAll(pieces: pieces)
                    return try await writer.write(pieces: pieces)
                }
                #expect(try await reader.readExactly(count: expected.count) == expected)
                let more = try await writing.value
                #expect(more > 0 && more <= pieces.prefix(1024).reduce(0) { $0 + $1.count })
                #expect(try await reader.readExactly(count: more) == Array(expected[..<more]))
            }
        }
    }

    /// Nobody reads, so that it waits in the middle; what arrives is the beginning.
    @Test(arguments: engines, Kind.allCases)
    func aCancelledOneHasWrittenABeginning(_ engine: EngineKind, _ kind: Kind) async throws {
        try await expectBeginning(engine, kind, .cancelled) { writer, pieces in
            let writing = Task { try await writer.writeAll(pieces: pieces) }
            try await eventually { writer.runtime.inFlightCount == 1 }
            writing.cancel()
            try await writing.value
        }
    }

    @Test(arguments: engines, Kind.allCases)
    func oneWhoseDeadlinePassesHasWrittenABeginning(_ engine: EngineKind, _ kind: Kind) async throws {
        try await expectBeginning(engine, kind, .deadlineExceeded) { writer, pieces in
            let (first, second) = (pieces[0], pieces[1])
            try await writer.writeAll(first.span.bytes, second.span.bytes, deadline: .soon)
        }
    }

    @Test(arguments: engines, Kind.allCases)
    func oneWhoseStreamIsClosedEnds(_ engine: EngineKind, _ kind: Kind) async throws {
        try await expectBeginning(engine, kind, .fileClosed) { writer, pieces in
            let writing = Task { try await writer.writeAll(pieces: pieces) }
            try await eventually { writer.runtime.inFlightCount == 1 }
            try await close(writer)
            try await writing.value
        }
    }

    /// A SIGPIPE would end the tests.
    @Test(arguments: engines, Kind.allCases)
    func oneWithoutAReaderIsAnError(_ engine: EngineKind, _ kind: Kind) async throws {
        try await withEnds(engine, kind) { reader, writer in
            try await close(reader)
            await expectError(.brokenPipe, or: .connectionReset) {
                while true { try await writer.writeAll(pieces: [[1], [2]]) }
            }
            await expectError(.brokenPipe) { try await writer.write(pieces: [[1], [2]]) }
        }
    }

    /// Types of a program's own have no call for several pieces.
    @Test(arguments: engines)
    func anyStreamTakesThem(_ engine: EngineKind) async throws {
        struct Wrapped: WritableStream {
            let stream: any WritableStream
            var runtime: IORuntime { stream.runtime }
            func write(_ bytes: RawSpan, deadline: Deadline) async throws(IOError) -> Int {
                try await stream.write(bytes.extracting(first: min(bytes.byteCount, 3)), deadline: deadline)
            }
        }
        try await withEnds(engine, .pipe) { reader, writer in
            let wrapped = Wrapped(stream: writer)
            let (one, two) = (Array("first".utf8), Array("second".utf8))
            #expect(try await wrapped.write(RawSpan(), one.span.bytes, two.span.bytes) == 3)
            try await wrapped.writeAll(one.span.bytes, RawSpan(), two.span.bytes)
            try await wrapped.writeAll(pieces: [two, [], one])
            let expected = Array("firfirstsecondsecondfirst".utf8)
            #expect(try await reader.readExactly(count: expected.count) == expected)
        }
    }

    // MARK: Streams

    /// Expects an error of `body`, which writes pieces that nobody reads, and reads what was written until then.
    private func expectBeginning(
        _ engine: EngineKind, _ kind: Kind, _ code: IOError.Code,
        _ body: (any WritableStream, [[UInt8]]) async throws -> Void
    ) async throws {
        let all = content.bytes(count: Self.size, at: 0)
        let pieces = [Array(all[..<7]), Array(all[7...])]
        try await withEnds(engine, kind) { reader, writer in
            await expectError(code) { try await body(writer, pieces) }
            #expect(writer.runtime.inFlightCount == 0)
            // The other case has closed it.
            try? await close(writer)
            let read = try await reader.readToEnd()
            #expect(read.count < Self.size && content.mismatch(read, at: 0) == nil)
        }
    }

    /// The ends of a stream, over attempts on the calling thread and over the loop alone.
    private func withEnds(
        _ engine: EngineKind, _ kind: Kind,
        _ body: (any ReadableStream, any WritableStream) async throws -> Void
    ) async throws {
        for inline in [true, false] {
            try await withRuntime(engine, { $0.inlineAttempts = inline }) { runtime in
                switch kind {
                case .tcp: try await withConnections(.v4, runtime) { try await body($0, $1) }
                case .unix: try await withConnections(.unix, runtime) { try await body($0, $1) }
                case .pipe:
                    let (reader, writer) = try await Pipe.make(runtime: runtime)
                    let outcome: Result<Void, any Error>
                    do { outcome = .success(try await body(reader, writer)) } catch { outcome = .failure(error) }
                    try? await writer.close()
                    try? await reader.close()
                    try outcome.get()
                }
            }
        }
    }

    private func close(_ stream: any Sendable) async throws {
        switch stream {
        case let connection as Connection: try await connection.close()
        case let reader as StreamReader: try await reader.close()
        case let writer as StreamWriter: try await writer.close()
        default: Issue.record("\(stream) is no stream of these tests")
        }
    }
}
