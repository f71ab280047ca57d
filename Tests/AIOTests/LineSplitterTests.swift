import Testing
import UnitSupport

@testable import AIO

@Suite struct LineSplitterTests {
    /// The lines of `text`, which is cut in pieces of `pieceSize` bytes. `cut` returns the lines that end in a piece.
    private func lines(
        _ text: [UInt8], _ limit: Int, _ pieceSize: () -> Int,
        _ cut: (inout LineSplitter, [UInt8]) throws -> [[UInt8]]
    ) throws -> [String] {
        var splitter = LineSplitter(limit: limit)
        var lines: [[UInt8]] = []
        var rest = text[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(pieceSize()))
            rest = rest.dropFirst(piece.count)
            lines += try cut(&splitter, piece)
        }
        if let last = try splitter.end() { lines.append(last) }
        return lines.map { String(decoding: $0, as: UTF8.self) }
    }

    private func lines(_ text: [UInt8], limit: Int = 1 << 20, pieceSize: () -> Int) throws -> [String] {
        try lines(text, limit, pieceSize) { splitter, piece in
            var lines: [[UInt8]] = []
            var position = 0
            try piece.withUnsafeBytes { bytes in
                while let line: [UInt8] = try splitter.next(in: bytes, from: &position) { lines.append(line) }
            }
            #expect(position == piece.count)
            return lines
        }
    }

    private func lines(_ text: String, limit: Int = 1 << 20, by size: Int = 3) throws -> [String] {
        try lines(Array(text.utf8), limit: limit) { size }
    }

    /// The same lines, in a batch for each piece.
    private func batches(_ text: [UInt8], limit: Int = 1 << 20, pieceSize: () -> Int) throws -> [String] {
        try lines(text, limit, pieceSize) { splitter, piece in
            let found = try piece.withUnsafeBytes { try splitter.lines(in: $0) }
            var lines = found.first.map { [$0] } ?? []
            var position = found.others.lowerBound
            while position < found.others.upperBound {
                let end = try #require(piece[position...].firstIndex(of: 10))
                var line = piece[position..<end]
                if line.last == 13 { line.removeLast() }
                lines.append(Array(line))
                position = end + 1
            }
            #expect(position == found.others.upperBound)
            return lines
        }
    }

    private static let cases: [(String, [String])] = [
        ("", []), ("\n", [""]), ("a", ["a"]), ("a\n", ["a"]), ("a\nb", ["a", "b"]), ("a\n\n\nb\n", ["a", "", "", "b"]),
        ("a\r\nb\r\n", ["a", "b"]), ("\r\n\r\n", ["", ""]), ("a\rb\n\r", ["a\rb", "\r"]),
        ("a\r\r\nb\r", ["a\r", "b\r"]),
    ]

    @Test(arguments: [1, 2, 3, 100])
    func linesEndWithANewlineOrACarriageReturnAndOne(_ size: Int) throws {
        for (text, expected) in Self.cases {
            #expect(try lines(text, by: size) == expected, "\(text.debugDescription)")
            #expect(try batches(Array(text.utf8)) { size } == expected, "\(text.debugDescription)")
        }
    }

    @Test func whereTheTextIsCutMakesNoDifference() throws {
        var random = SeededGenerator("lines")
        for _ in 0..<200 {
            let text = (0..<Int.random(in: 0...60, using: &random)).map { _ in
                Array("ab\r\n".utf8).randomElement(using: &random) ?? 0
            }
            let whole = try lines(text) { text.count }
            let cut = try lines(text) { Int.random(in: 1...7, using: &random) }
            #expect(cut == whole)
            let inBatches = try batches(text) { Int.random(in: 1...30, using: &random) }
            #expect(inBatches == whole)
            #expect(whole.map(\.utf8.count).reduce(0, +) <= text.count)
        }
    }

    @Test(arguments: [1, 2, 3, 100])
    func theLimitCountsBytesWithoutTheEnd(_ size: Int) throws {
        #expect(try lines("abc\nabc\r\nabc", limit: 3, by: size) == ["abc", "abc", "abc"])
        #expect(try lines("\n\r\n", limit: 0, by: size) == ["", ""])
        for text in ["abcd\n", "a\nabcd", "abcd\r\n", "abc\rd\n", "abc\r", "abcdefghijk"] {
            #expect(throws: LineTooLong.self, "\(text.debugDescription)") { try lines(text, limit: 3, by: size) }
            #expect(throws: LineTooLong.self, "\(text.debugDescription)") {
                try batches(Array(text.utf8), limit: 3) { size }
            }
        }
    }
}
