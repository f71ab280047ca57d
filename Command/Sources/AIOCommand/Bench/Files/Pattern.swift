import Glibc

/// The content of a test file: random bytes that are a function of the offset, so that every byte of every read can be
/// checked without a copy of the file.
///
/// One page of random words, the same for all pages, is XORed with a 64-bit key that is hashed from the page's number
/// and generation. Content from another page differs in every word because of the key, and content from another place
/// in the page because of the table. A check needs the 4 KiB table and the data, which both fit the L1 cache, and costs
/// about 100 ns per page.
final class Pattern: @unchecked Sendable {
    // @unchecked: the table is written only in init.

    static let pageSize = 4096

    private let table: UnsafeMutableRawPointer
    let seed: UInt64

    init(seed: UInt64 = .random(in: .min ... .max)) {
        self.seed = seed
        table = .allocate(byteCount: Pattern.pageSize, alignment: 64)
        for word in 0..<(Pattern.pageSize / 8) {
            table.storeBytes(of: mixed(seed &+ UInt64(word)), toByteOffset: word * 8, as: UInt64.self)
        }
    }

    deinit { table.deallocate() }

    /// Writes the content of `count` bytes at `offset` into `memory`. Both are multiples of 512. A file starts in
    /// generation 0; an overwrite uses a new generation.
    func fill(_ memory: UnsafeMutableRawPointer, count: Int, offset: Int, generation: UInt32) {
        forEachPage(count: count, offset: offset, generation: generation) { position, source, length, key in
            let key = SIMD8<UInt64>(repeating: key)
            for index in stride(from: 0, to: length, by: 64) {
                let words = source.load(fromByteOffset: index, as: SIMD8<UInt64>.self) ^ key
                memory.storeBytes(of: words, toByteOffset: position + index, as: SIMD8<UInt64>.self)
            }
        }
    }

    /// Whether `memory` holds the content of `count` bytes at `offset`. Both are multiples of 512.
    func matches(_ memory: UnsafeRawPointer, count: Int, offset: Int, generation: UInt32) -> Bool {
        var different = SIMD8<UInt64>.zero
        forEachPage(count: count, offset: offset, generation: generation) { position, source, length, key in
            let key = SIMD8<UInt64>(repeating: key)
            for index in stride(from: 0, to: length, by: 64) {
                let expected = source.load(fromByteOffset: index, as: SIMD8<UInt64>.self) ^ key
                different |= expected ^ memory.loadUnaligned(fromByteOffset: position + index, as: SIMD8<UInt64>.self)
            }
        }
        return different == .zero
    }

    /// Calls `body` for the part of the range in each page: the part's position in the range, the table from there on,
    /// the part's length, and the page's key.
    @inline(__always)
    private func forEachPage(
        count: Int, offset: Int, generation: UInt32,
        _ body: (_ position: Int, _ source: UnsafeRawPointer, _ length: Int, _ key: UInt64) -> Void
    ) {
        var position = 0
        while position < count {
            let (page, start) = (offset + position).quotientAndRemainder(dividingBy: Pattern.pageSize)
            let length = min(Pattern.pageSize - start, count - position)
            let key = mixed(seed ^ UInt64(generation) << 40 ^ UInt64(page))
            body(position, UnsafeRawPointer(table) + start, length, key)
            position += length
        }
    }
}

/// The finaliser of splitmix64: a bijection in which every bit of `value` affects every bit of the result.
@inline(__always)
func mixed(_ value: UInt64) -> UInt64 {
    var value = value &+ 0x9E37_79B9_7F4A_7C15
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
}
