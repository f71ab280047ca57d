import AIO

/// A line as sha256sum(1) writes and reads it: the digest in hexadecimal, two spaces, and the name. Names with a line
/// break or a backslash are escaped, and the line then begins with a backslash.
struct HashLine: Equatable {
    var digest: [UInt8]
    var name: Path

    private static let backslash = UInt8(ascii: "\\")
    private static let escapes: [(byte: UInt8, letter: UInt8)] = [
        (UInt8(ascii: "\n"), UInt8(ascii: "n")), (UInt8(ascii: "\r"), UInt8(ascii: "r")), (backslash, backslash),
    ]

    /// With the line break at its end.
    var bytes: [UInt8] {
        let escaped = Self.escaped(name.bytes)
        return (escaped == nil ? [] : [Self.backslash]) + Self.hexadecimal(digest) + Array("  ".utf8)
            + (escaped ?? name.bytes) + [UInt8(ascii: "\n")]
    }

    /// The same for a terminal, with the name as text that does nothing to it.
    var visible: [UInt8] { Self.hexadecimal(digest) + Array("  \(name)\n".utf8) }

    init(digest: [UInt8], name: Path) {
        self.digest = digest
        self.name = name
    }

    /// nil if it is no such line.
    init?(_ line: ArraySlice<UInt8>) {
        let isEscaped = line.first == Self.backslash
        let rest = isEscaped ? line.dropFirst() : line
        guard rest.count > 66, let digest = Self.digest(rest.prefix(64)) else { return nil }
        let separator = rest.dropFirst(64).prefix(2)
        // A star is what sha256sum has for files read as binary, which all are.
        guard separator.first == UInt8(ascii: " "), [UInt8(ascii: " "), UInt8(ascii: "*")].contains(separator.last)
        else { return nil }
        let name = Array(rest.dropFirst(66))
        guard let plain = isEscaped ? Self.unescaped(name) : name else { return nil }
        self.init(digest: digest, name: Path(bytes: plain))
    }

    /// nil if there is nothing to escape.
    static func escaped(_ name: [UInt8]) -> [UInt8]? {
        guard name.contains(where: { byte in escapes.contains { $0.byte == byte } }) else { return nil }
        return name.flatMap { byte in escapes.first { $0.byte == byte }.map { [backslash, $0.letter] } ?? [byte] }
    }

    private static func unescaped(_ name: [UInt8]) -> [UInt8]? {
        var plain: [UInt8] = []
        var rest = name[...]
        while let byte = rest.popFirst() {
            guard byte == backslash else {
                plain.append(byte)
                continue
            }
            guard let letter = rest.popFirst(), let escape = escapes.first(where: { $0.letter == letter }) else {
                return nil
            }
            plain.append(escape.byte)
        }
        return plain
    }

    private static let digits = Array("0123456789abcdef".utf8)

    private static func hexadecimal(_ bytes: [UInt8]) -> [UInt8] {
        bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    }

    private static func digest(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        let values = text.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
        guard values.count == text.count else { return nil }
        return stride(from: 0, to: values.count, by: 2).map { UInt8(values[$0] << 4 | values[$0 + 1]) }
    }
}
