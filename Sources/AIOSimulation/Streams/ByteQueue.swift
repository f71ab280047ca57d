/// Bytes in the order of their arrival.
struct ByteQueue {
    private var bytes: [UInt8] = []
    private var start = 0

    var count: Int { bytes.count - start }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ new: some Sequence<UInt8>) { bytes.append(contentsOf: new) }

    /// `count` bytes from `offset` on, which stay.
    func slice(_ offset: Int, _ count: Int) -> ArraySlice<UInt8> { bytes[start + offset..<start + offset + count] }

    /// Copies what fits into `target`, and removes it unless it is only peeked at. Returns the number of bytes.
    mutating func read(into target: inout ReadTarget, isPeek: Bool) -> Int {
        let copied = bytes.withUnsafeBytes { target.put(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        if !isPeek { removeFirst(copied) }
        return copied
    }

    mutating func removeFirst(_ removed: Int) {
        start += removed
        guard start >= 4096, start * 2 >= bytes.count || start == bytes.count else { return }
        bytes.removeFirst(start)
        start = 0
    }

    mutating func removeAll() { (bytes, start) = ([], 0) }
}
