import AIO
import Glibc
import Testing

/// Lines of files and streams.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct LineTests {
    @Test(arguments: engines)
    func linesOfAFileComeInOrderWithoutTheirEnds(_ engine: EngineKind) async throws {
        let expected = (0..<5000).map { String(repeating: "é", count: $0 % 40) + "\($0)" }
        let text = expected.enumerated().map { $1 + ($0 % 3 == 0 ? "\r\n" : "\n") }.joined() + "the last"
        try await withText(engine, Array(text.utf8)) { file in
            var lines: [String] = []
            for try await line in file.lines() { lines.append(line) }
            #expect(lines == expected + ["the last"])
            // In chunks that split lines, line ends and characters.
            lines = []
            for try await line in file.chunks(of: 61).lines() { lines.append(line) }
            #expect(lines == expected + ["the last"])
            for size in [61, 256 << 10] {
                lines = []
                for try await batch in file.chunks(of: size).lineBatches() {
                    let count = lines.count
                    batch.forEachLine { line in
                        lines.append(line.withUnsafeBytes { String(decoding: $0, as: UTF8.self) })
                    }
                    #expect(lines.count > count)
                }
                #expect(lines == expected + ["the last"])
            }
        }
    }

    @Test(arguments: engines)
    func bytesThatAreNoTextAreKeptAsTheyAre(_ engine: EngineKind) async throws {
        try await withText(engine, [0xff, 0, 10, 10, 0xc3]) { file in
            var lines: [[UInt8]] = []
            for try await line in file.byteLines() { lines.append(line) }
            #expect(lines == [[0xff, 0], [], [0xc3]])
            var text: [String] = []
            for try await line in file.lines() { text.append(line) }
            #expect(text == ["\u{fffd}\0", "", "\u{fffd}"])
        }
    }

    @Test(arguments: engines)
    func aLineLongerThanTheLimitEndsTheSequenceWithAnError(_ engine: EngineKind) async throws {
        let text = Array("short\n".utf8) + [UInt8](repeating: 97, count: 100_000)
        try await withText(engine, text) { file in
            var lines: [[UInt8]] = []
            let error = await expectError(.lineTooLong) {
                for try await line in file.chunks(of: 4096).byteLines(limit: 5) { lines.append(line) }
            }
            #expect(lines == [Array("short".utf8)])
            #expect(error?.path == file.path)
            let other = await expectError(.lineTooLong) {
                for try await _ in file.lineBatches(limit: 5) {}
            }
            #expect(other?.description == error?.description)
            #expect(error?.description.hasSuffix("a line is longer than the limit: the limit is 5 bytes") == true)
            // With a limit equal to its length the line is accepted.
            var count = 0
            for try await line in file.byteLines(limit: 100_000) { count += line.count }
            #expect(count == 100_005)
        }
    }

    @Test(arguments: engines, [StreamKind.pipe, .socket, .fifo])
    func aLineOfAStreamComesAsSoonAsItsEndDoes(_ engine: EngineKind, _ kind: StreamKind) async throws {
        try await withStream(engine, kind) { ends, file in
            var lines = file.lines().makeAsyncIterator()
            ends.put(Array("one\ntw".utf8))
            let first = try await lines.next()
            #expect(first == "one")
            ends.put(Array("o\nthree".utf8))
            let second = try await lines.next()
            #expect(second == "two")
            ends.closeWriting()
            var rest: [String] = []
            while let line = try await lines.next() { rest.append(line) }
            #expect(rest == ["three"])
            let none = try await lines.next()
            #expect(none == nil)
        }
    }

    private func withText(_ engine: EngineKind, _ text: [UInt8], _ body: (File) async throws -> Void) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("text", text)
            try await withRuntime(engine) { runtime in
                try await withFile(Path(path), runtime: runtime, body)
                // A read ahead of a sequence that was dropped returns its buffer by itself.
                try await eventually { runtime.bufferBytesInUse == 0 }
            }
        }
    }
}
