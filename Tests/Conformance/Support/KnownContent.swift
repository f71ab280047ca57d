import AIO

/// Content that follows from the offset and a seed (so that files differ): the bytes that any read must return.
struct KnownContent: Sendable {
    var seed: UInt64

    private func word(_ index: UInt64) -> UInt64 {
        let mixed = (index &+ seed &* 0x1_0000_0001) &* 0x9e37_79b9_7f4a_7c15
        return mixed ^ (mixed >> 29)
    }

    func fill(_ base: UnsafeMutableRawPointer, count: Int, at offset: Int64) {
        forEach(count, offset) { position, byte in base.storeBytes(of: byte, toByteOffset: position, as: UInt8.self) }
    }

    func bytes(count: Int, at offset: Int64) -> [UInt8] {
        // With a capacity of 0 the array would be the empty array that all threads share, and its count would be
        // written.
        [UInt8](unsafeUninitializedCapacity: max(count, 1)) { buffer, initialized in
            if let base = buffer.baseAddress { fill(UnsafeMutableRawPointer(base), count: count, at: offset) }
            initialized = count
        }
    }

    /// The offset of the first wrong byte; nil if there is none.
    func mismatch(_ base: UnsafeRawPointer, count: Int, at offset: Int64) -> Int64? {
        var wrong: Int64?
        forEach(count, offset) { position, byte in
            if wrong == nil, base.load(fromByteOffset: position, as: UInt8.self) != byte {
                wrong = offset + Int64(position)
            }
        }
        return wrong
    }

    func mismatch(_ bytes: [UInt8], at offset: Int64) -> Int64? {
        bytes.withUnsafeBytes { buffer in
            buffer.baseAddress.flatMap { mismatch($0, count: buffer.count, at: offset) }
        }
    }

    /// Each byte of the range: eight bytes per word, the lowest first.
    @inline(__always)
    private func forEach(_ count: Int, _ offset: Int64, _ body: (Int, UInt8) -> Void) {
        var current: UInt64 = 0
        var position = 0
        while position < count {
            let byte = UInt64(offset) &+ UInt64(position)
            if position == 0 || byte & 7 == 0 { current = word(byte >> 3) }
            body(position, UInt8(truncatingIfNeeded: current >> ((byte & 7) * 8)))
            position += 1
        }
    }
}
