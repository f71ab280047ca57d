/// Text in memory of a fixed size. Whatever exceeds it is dropped. Swift's `String` in Embedded Swift would allocate
/// and link the Unicode tables.
struct TextBuffer: ~Copyable {
    private let memory: UnsafeMutableBufferPointer<UInt8>
    private(set) var count = 0
    private var lineStart = 0

    init(_ memory: UnsafeMutableBufferPointer<UInt8>) { self.memory = memory }

    mutating func append(byte: UInt8) {
        guard count < memory.count else { return }
        memory[count] = byte
        count += 1
        if byte == UInt8(ascii: "\n") { lineStart = count }
    }

    mutating func append(_ text: StaticString) {
        for byte in UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount) { append(byte: byte) }
    }

    /// Appends at most `limit` bytes of a C string. Control characters become question marks.
    mutating func append(cString text: UnsafePointer<CChar>?, limit: Int = 64) {
        guard let text else { return }
        var index = 0
        while index < limit, text[index] != 0 {
            let byte = UInt8(bitPattern: text[index])
            append(byte: byte < 0x20 || byte == 0x7F ? UInt8(ascii: "?") : byte)
            index += 1
        }
    }

    /// Appends blanks up to this column of the line.
    mutating func pad(to column: Int) {
        while count - lineStart < column, count < memory.count { append(byte: UInt8(ascii: " ")) }
    }

    mutating func append(_ value: UInt64) { append(value, groups: false) }

    /// Appends the value with a comma between groups of three digits: 1,234,567.
    mutating func append(grouped value: UInt64) { append(value, groups: true) }

    /// Appends a number of hundredths with two decimals: 1,234.05.
    mutating func append(hundredths value: UInt64) {
        append(grouped: value / 100)
        append(".")
        append(value % 100 / 10)
        append(value % 10)
    }

    private mutating func append(_ value: UInt64, groups: Bool) {
        var divisor: UInt64 = 1
        var digits = 1
        while value / divisor >= 10 {
            divisor *= 10
            digits += 1
        }
        while digits > 0 {
            append(byte: UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / divisor % 10))
            divisor = max(divisor / 10, 1)
            digits -= 1
            if groups, digits > 0, digits % 3 == 0 { append(byte: UInt8(ascii: ",")) }
        }
    }

    /// Appends what `body` appends, right-aligned to end at this column of the line.
    mutating func append(endingAt column: Int, _ body: (inout TextBuffer) -> Void) {
        let start = count
        body(&self)
        assert(lineStart <= start, "text that ends at a column has a line break")
        let length = count - start
        let missing = max(min(column - (count - lineStart), memory.count - count), 0)
        guard missing > 0 else { return }
        for _ in 0..<missing { append(byte: UInt8(ascii: " ")) }
        for index in (start..<start + length).reversed() { memory[index + missing] = memory[index] }
        for index in start..<start + missing { memory[index] = UInt8(ascii: " ") }
    }
}
