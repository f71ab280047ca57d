import AIO

/// Content that follows from the offset and a seed (so that files differ): the bytes that any read must return.
struct KnownContent: Sendable {
    var seed: UInt64

    private func word(_ index: UInt64) -> UInt64 {
        let mixed = (index &+ seed &* 0x1_0000_0001) &* 0x9e37_79b9_7f4a_7c15
        return mixed ^ (mixed >> 29)
    }

    private func byte(at offset: Int64) -> UInt8 {
        UInt8(truncatingIfNeeded: word(UInt64(offset) >> 3) >> (UInt64(offset & 7) * 8))
    }

    /// The positions of the range that are in whole words. Bytes one by one would take most of a test's time, since
    /// tests are not optimized.
    private func wholeWords(_ count: Int, _ offset: Int64) -> Range<Int> {
        let first = min(count, Int(-offset & 7))
        return first..<first + (count - first) & ~7
    }

    func fill(_ base: UnsafeMutableRawPointer, count: Int, at offset: Int64) {
        let whole = wholeWords(count, offset)
        var position = 0
        while position < count {
            let here = offset + Int64(position)
            if whole.contains(position) {
                base.storeBytes(of: word(UInt64(here) >> 3).littleEndian, toByteOffset: position, as: UInt64.self)
                position += 8
            } else {
                base.storeBytes(of: byte(at: here), toByteOffset: position, as: UInt8.self)
                position += 1
            }
        }
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
        let whole = wholeWords(count, offset)
        var position = 0
        while position < count {
            let here = offset + Int64(position)
            if whole.contains(position),
                base.loadUnaligned(fromByteOffset: position, as: UInt64.self) == word(UInt64(here) >> 3).littleEndian
            {
                position += 8
                continue
            }
            // In a wrong word one of the next eight bytes is found.
            guard base.load(fromByteOffset: position, as: UInt8.self) == byte(at: here) else { return here }
            position += 1
        }
        return nil
    }

    func mismatch(_ bytes: [UInt8], at offset: Int64) -> Int64? {
        bytes.withUnsafeBytes { buffer in
            buffer.baseAddress.flatMap { mismatch($0, count: buffer.count, at: offset) }
        }
    }
}
