import AIO
import Glibc
import Testing
import UnitSupport

/// Several pieces of memory in one write.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct GatheredWriteTests {
    private func withNewFile(_ engine: EngineKind, _ body: (Scratch, File) async throws -> Void) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file"))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .readWrite, runtime: runtime) { file in try await body(scratch, file) }
            }
        }
    }

    @Test(arguments: engines)
    func spansAreWrittenInOrder(_ engine: EngineKind) async throws {
        try await withNewFile(engine) { scratch, file in
            let (head, body, tail) = (Array("head".utf8), [UInt8](repeating: 98, count: 100_000), Array("tail".utf8))
            let (one, two, three) = (head.span.bytes, body.span.bytes, tail.span.bytes)
            var expected = head + tail
            #expect(try await file.write(one, three, at: 0) == 8)
            #expect(try scratch.content("file") == expected)
            #expect(try await file.write(one, two, three, at: 8) == 100_008)
            expected += head + body + tail
            #expect(try scratch.content("file") == expected)
            try await file.writeAll(three, two, RawSpan(), one, at: 4)
            expected.replaceSubrange(4..<100_012, with: tail + body + head)
            #expect(try scratch.content("file") == expected)
            #expect(try await file.write(RawSpan(), RawSpan(), at: 0) == 0)
            try await file.writeAll(RawSpan(), RawSpan(), at: 0)
            await expectError(.invalidArgument) { try await file.write(one, two, at: -1) }
            #expect(try scratch.content("file") == expected)
        }
    }

    /// More than one transfer takes.
    @Test(arguments: engines, [0, 1, 3, 1024, 1025, 5000])
    func anyNumberOfArraysIsWrittenInOrder(_ engine: EngineKind, _ count: Int) async throws {
        try await withNewFile(engine) { scratch, file in
            let pieces = (0..<count).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: $0 % 17) }
            try await file.writeAll(pieces: pieces, at: 0)
            let expected = pieces.flatMap(\.self)
            #expect(try scratch.content("file") == expected)
            let written = try await file.write(pieces: pieces, at: Int64(expected.count))
            #expect(written <= expected.count && (count > 1024 || written == expected.count))
            #expect(try scratch.content("file") == expected + expected.prefix(written))
        }
    }

    /// A pipe takes a part of them at a time.
    @Test(arguments: engines)
    func whatDoesNotFitAtOnceIsWrittenAllTheSame(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await Ends.with { ends in
                let reading = ends.reading
                let reader = Task { try await BlockingThread.with { readToEnd(reading) } }
                let file = File(adopting: ends.writing, runtime: runtime)
                ends.writing = -1
                let pieces = (0..<50).map { [UInt8](repeating: UInt8($0), count: 10_000 + $0) }
                try await file.writeAll(pieces: pieces, at: 0)
                let (one, two) = (pieces[0], pieces[1])
                try await file.writeAll(one.span.bytes, two.span.bytes, at: 0)
                try await file.close()
                #expect(try await reader.value == (pieces + pieces[..<2]).flatMap(\.self))
            }
        }
    }
}
