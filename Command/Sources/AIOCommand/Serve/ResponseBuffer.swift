/// Memory for building a response: the head, and as much of the body as fits.
final class ResponseBuffer {
    let base: UnsafeMutableRawPointer
    private(set) var count = 0

    /// Bytes for a piece of a file and a head.
    static var capacity: Int { 65536 + 2048 }

    init() { base = .allocate(byteCount: Self.capacity, alignment: 64) }

    deinit { base.deallocate() }

    var room: Int { Self.capacity - count }
    var content: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
    var free: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: base + count, count: room) }

    func clear() { count = 0 }

    /// Records that bytes were written to `free`.
    func noteWritten(_ added: Int) { count += added }

    // Bytes that do not fit are dropped. Heads are bounded and far smaller than the buffer.

    func append(_ bytes: UnsafeRawBufferPointer) {
        let fitting = min(bytes.count, room)
        guard fitting > 0, let start = bytes.baseAddress else { return }
        (base + count).copyMemory(from: start, byteCount: fitting)
        count += fitting
    }

    func append(_ text: StaticString) {
        append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    func append(_ text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    func append(_ number: Int64) {
        guard number >= 10 else { return append(digit: number) }
        append(number / 10)
        append(digit: number % 10)
    }

    private func append(digit: Int64) { append(byte: UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit)) }

    func append(hexadecimal number: UInt64) {
        if number >= 16 { append(hexadecimal: number >> 4) }
        let digit = UInt8(truncatingIfNeeded: number & 15)
        append(byte: digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
    }

    private func append(byte: UInt8) {
        guard room > 0 else { return }
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count += 1
    }
}
