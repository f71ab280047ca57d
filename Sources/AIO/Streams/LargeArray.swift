/// Arrays for counts that the caller gives: what is asked for may be more than there is, and more than any memory holds. An
/// array that cannot be had ends the program; so a large one grows with what comes.
enum LargeArray {
    /// Up to here an array is made at once.
    static var pieceSize: Int { 16 << 20 }
    /// One system call transfers no more.
    static var transferMax: Int { Int(Int32.max) & ~4095 }

    /// An array of `count` bytes that begins with these. `read` fills a piece of memory whole, which begins `done` bytes behind
    /// them, or throws.
    static func fill(
        _ count: Int, after beginning: [UInt8],
        _ read: (_ base: UnsafeMutableRawPointer, _ done: Int, _ room: Int) async throws(IOError) -> Void
    ) async throws(IOError) -> [UInt8] {
        var array = beginning
        while array.count < count {
            // As much again as there is, so that copying what there is costs no more than reading it.
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
    /// Beyond the largest offset, 2^63 - 1.
    static func beyondOffsets(_ operation: String, _ path: Path?) -> IOError {
        IOError(.invalidArgument, operation, path: path, advice: "offset and count go beyond 2^63 - 1")
    }
}
