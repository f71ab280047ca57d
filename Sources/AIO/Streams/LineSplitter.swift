#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// What a sequence of lines returns a line as.
protocol LineValue {
    /// A copy of the line's bytes.
    init(line: UnsafeRawBufferPointer)
    /// The line whose bytes were assembled.
    init(assembled line: [UInt8])
}

extension [UInt8]: LineValue {
    init(line: UnsafeRawBufferPointer) { self = Array(line) }
    init(assembled line: [UInt8]) { self = line }
}

extension String: LineValue {
    init(line: UnsafeRawBufferPointer) { self = String(decoding: line, as: UTF8.self) }
    init(assembled line: [UInt8]) { self = String(decoding: line, as: UTF8.self) }
}

/// Cuts pieces of text into lines. It examines each byte once, and copies once what it returns; only a line that began
/// in an earlier piece is assembled first.
struct LineSplitter {
    /// The maximum length of a line in bytes, without its terminator.
    let limit: Int
    /// The beginning of a line whose end has not been read.
    private var line: [UInt8] = []

    /// Half of the range of `Int` is more than any memory, and adding the terminator does not overflow.
    init(limit: Int) { self.limit = min(limit, Int.max / 2) }

    /// The next line that ends in `bytes` at or after `position`, which moves behind it. nil if no line ends there; the
    /// rest is then kept.
    @inline(__always)
    mutating func next<Line: LineValue>(
        in bytes: UnsafeRawBufferPointer, from position: inout Int
    ) throws(LineTooLong) -> Line? {
        guard position < bytes.count else { return nil }
        guard line.isEmpty, let end = bytes.firstIndex(of: newline, from: position) else {
            return try assemble(bytes, from: &position)
        }
        let found = UnsafeRawBufferPointer(rebasing: bytes[position..<end]).withoutCarriageReturn
        position = end + 1
        guard found.count <= limit else { throw LineTooLong() }
        return Line(line: found)
    }

    /// The same for a line that is not in `bytes` alone.
    private mutating func assemble<Line: LineValue>(
        _ bytes: UnsafeRawBufferPointer, from position: inout Int
    ) throws(LineTooLong) -> Line? {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
        guard let length = rest.firstIndex(of: newline, from: 0) else {
            position = bytes.count
            try append(rest)
            return nil
        }
        position += length + 1
        try append(UnsafeRawBufferPointer(rebasing: rest[..<length]))
        if line.last == carriageReturn { line.removeLast() }
        guard line.count <= limit else { throw LineTooLong() }
        return Line(assembled: take())
    }

    /// All lines that end in `bytes`: the one that began in an earlier piece, and where the others are. The rest is
    /// kept.
    mutating func lines(
        in bytes: UnsafeRawBufferPointer
    ) throws(LineTooLong) -> (first: [UInt8]?, others: Range<Int>) {
        var start = 0
        let first: [UInt8]? = line.isEmpty ? nil : try assemble(bytes, from: &start)
        let end = bytes.lastIndex(of: newline).map { Swift.max(start, $0 + 1) } ?? start
        if limit < end - start { try checkLengths(UnsafeRawBufferPointer(rebasing: bytes[start..<end])) }
        try append(UnsafeRawBufferPointer(rebasing: bytes[end...]))
        return (first, start..<end)
    }

    /// Throws if one of the lines in `bytes` is too long.
    private func checkLengths(_ bytes: UnsafeRawBufferPointer) throws(LineTooLong) {
        var position = 0
        while let end = bytes.firstIndex(of: newline, from: position) {
            let line = UnsafeRawBufferPointer(rebasing: bytes[position..<end])
            guard line.withoutCarriageReturn.count <= limit else { throw LineTooLong() }
            position = end + 1
        }
    }

    /// The text after the last newline; nil if there is none.
    mutating func end() throws(LineTooLong) -> [UInt8]? {
        guard line.count <= limit else { throw LineTooLong() }
        return line.isEmpty ? nil : take()
    }

    /// A line may exceed the limit by one byte until it is known whether a carriage return is part of the terminator.
    private mutating func append(_ bytes: UnsafeRawBufferPointer) throws(LineTooLong) {
        guard bytes.count <= limit + 1 - line.count else { throw LineTooLong() }
        line.append(contentsOf: bytes)
        guard line.count <= limit || line.last == carriageReturn else { throw LineTooLong() }
    }

    private mutating func take() -> [UInt8] {
        defer { line = [] }
        return line
    }
}

struct LineTooLong: Error {}

private let newline = UInt8(ascii: "\n")
private let carriageReturn = UInt8(ascii: "\r")

extension UnsafeRawBufferPointer {
    /// The bytes without a carriage return at the end.
    var withoutCarriageReturn: UnsafeRawBufferPointer {
        last == carriageReturn ? UnsafeRawBufferPointer(rebasing: self[..<(count - 1)]) : self
    }

    /// memchr(3) from `start` on.
    func firstIndex(of byte: UInt8, from start: Int) -> Int? {
        guard start < count, let base = baseAddress,
            let found = memchr(base + start, Int32(byte), count - start)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }
}
