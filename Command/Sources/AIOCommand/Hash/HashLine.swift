import AIO

/// A line in the format of sha256sum(1): the digest in hexadecimal, two spaces, and the name. A name with a newline, a
/// carriage return or a backslash is escaped, and its line then begins with a backslash.
struct HashLine: Equatable {
    var digest: [UInt8]
    var name: Path

    private static let backslash = UInt8(ascii: "\\")
    private static let escapes: [(byte: UInt8, letter: UInt8)] = [
        (UInt8(ascii: "\n"), UInt8(ascii: "n")), (UInt8(ascii: "\r"), UInt8(ascii: "r")), (backslash, backslash),
    ]

    /// The line with its newline.
    var bytes: [UInt8] {
        let escaped = Self.escaped(name.bytes)
        return (escaped == nil ? [] : [Self.backslash]) + Self.hexadecimal(digest) + Array("  ".utf8)
            + (escaped ?? name.bytes) + [UInt8(ascii: "\n")]
    }

    /// The name at the start of a line about a file. It is escaped only if it contains a newline, as in `sha256sum
    /// --check`.
    static func beginning(_ name: Path) -> [UInt8] {
        let bytes = name.bytes
        guard bytes.contains(UInt8(ascii: "\n")), let escaped = escaped(bytes) else { return bytes }
        return [backslash] + escaped
    }

    /// The line for a terminal: the name is quoted so that it cannot control it.
    var visible: [UInt8] { Self.hexadecimal(digest) + Array("  \(name)\n".utf8) }

    init(digest: [UInt8], name: Path) {
        self.digest = digest
        self.name = name
    }

    /// Parses a line as sha256sum(1) does: blanks before it and a carriage return after it are allowed, as is the form
    /// of `--tag` and openssl(1), `SHA256 (NAME) = DIGEST`. nil if the line has none of these forms.
    init?(_ line: ArraySlice<UInt8>) {
        var rest = line.drop(while: Self.isBlank)
        if rest.last == UInt8(ascii: "\r") { rest.removeLast() }
        let isEscaped = rest.first == Self.backslash
        if isEscaped { rest.removeFirst() }
        guard let (digest, name) = Self.tagged(rest) ?? Self.plain(rest), !name.isEmpty,
            let plain = isEscaped ? Self.unescaped(Array(name)) : Array(name), !plain.contains(0)
        else { return nil }
        self.init(digest: digest, name: Path(bytes: plain))
    }

    private typealias Parts = (digest: [UInt8], name: ArraySlice<UInt8>)

    private static func plain(_ line: ArraySlice<UInt8>) -> Parts? {
        guard line.count > 65, let digest = digest(line.prefix(64)), isBlank(line[line.startIndex + 64]) else {
            return nil
        }
        let rest = line.dropFirst(65)
        // sha256sum marks files read in binary mode with a star; the mode makes no difference. md5(1) -r writes only
        // one blank.
        let isMarked = rest.count > 1 && [UInt8(ascii: " "), UInt8(ascii: "*")].contains(rest.first)
        return (digest, isMarked ? rest.dropFirst() : rest)
    }

    private static func tagged(_ line: ArraySlice<UInt8>) -> Parts? {
        let tag = Array("SHA256".utf8)
        guard line.starts(with: tag) else { return nil }
        var rest = line.dropFirst(tag.count)
        if rest.first == UInt8(ascii: " ") { rest.removeFirst() }
        guard rest.first == UInt8(ascii: "("), let end = rest.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let tail = rest[(end + 1)...].drop(while: isBlank)
        guard tail.first == UInt8(ascii: "=") else { return nil }
        let text = tail.dropFirst().drop(while: isBlank)
        guard text.count == 64, let digest = digest(text) else { return nil }
        return (digest, rest[(rest.startIndex + 1)..<end])
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }

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
