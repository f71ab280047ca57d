#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Assembles lines from pieces. It examines and copies each byte once.
struct LineSplitter {
    /// The maximum length of a line in bytes, without its terminator.
    let limit: Int
    /// The beginning of a line whose end has not been read.
    private var line: [UInt8] = []

    /// Half of the range of `Int` is more than any memory, and adding the terminator does not overflow.
    init(limit: Int) { self.limit = min(limit, Int.max / 2) }

    /// The next line that ends in `bytes` at or after `position`, which moves behind it. nil if no line ends there; the
    /// rest is then kept.
    mutating func next(in bytes: UnsafeRawBufferPointer, from position: inout Int) throws(LineTooLong) -> [UInt8]? {
        guard position < bytes.count else { return nil }
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
        return take()
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
    /// memchr(3) from `start` on.
    func firstIndex(of byte: UInt8, from start: Int) -> Int? {
        guard start < count, let base = baseAddress,
            let found = memchr(base + start, Int32(byte), count - start)
        else { return nil }
        return UnsafeRawPointer(found) - base
    }
}
