/// Arrays for sizes that a caller requests. A request may exceed the available data and memory, and a failed allocation
/// ends the program; therefore a large array grows with the data that arrives.
enum LargeArray {
    /// Arrays up to this size are allocated at once: no more than the largest buffer of the pool, which any machine
    /// has.
    static var pieceSize: Int { 16 << 20 }
    /// The maximum number of bytes that one read(2) or write(2) transfers (MAX_RW_COUNT).
    static var transferMax: Int { Int(Int32.max) & ~4095 }

    /// An array of `count` bytes that starts with `beginning`. `read` fills all of `base`, which starts at the offset
    /// `done` behind `beginning`, or throws.
    static func fill(
        _ count: Int, after beginning: [UInt8],
        _ read: (_ base: UnsafeMutableRawPointer, _ done: Int, _ room: Int) async throws(IOError) -> Void
    ) async throws(IOError) -> [UInt8] {
        var array = beginning
        while array.count < count {
            // Doubles the array, so that copying costs no more than reading.
            // At most 1 GiB, which one transfer takes, and at the alignment of direct I/O.
            let room = min(count - array.count, max(array.count, pieceSize), 1 << 30)
            let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 4096)
            defer { piece.deallocate() }
            guard let base = piece.baseAddress else { break }
            try await read(base, array.count - beginning.count, room)
            array.append(contentsOf: piece)
        }
        return array
    }
}

extension IOError {
    /// The range extends beyond the largest offset, 2^63 - 1.
    static func beyondOffsets(_ operation: String, _ path: Path?) -> IOError {
        IOError(.invalidArgument, operation, path: path, advice: "offset and count go beyond 2^63 - 1")
    }
}
