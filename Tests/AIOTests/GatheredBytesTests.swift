import CKernel
import Testing

@testable import AIO
@testable import AIOCore

/// What is left of several pieces after a short transfer.
@Suite struct GatheredBytesTests {
    private func pieces(_ transfer: Transfer) -> [[UInt8]] {
        guard let base = transfer.base?.assumingMemoryBound(to: iovec.self) else { return [] }
        return (0..<transfer.count).map { index in
            Array(UnsafeRawBufferPointer(start: base[index].iov_base, count: base[index].iov_len))
        }
    }

    @Test func whatWasWrittenIsTakenFromTheFront() {
        let bytes: [UInt8] = [1, 2, 3, 4, 5, 6]
        for count in 0...6 {
            bytes.withUnsafeBytes { all in
                var gathered = GatheredBytes(capacity: 5)
                for range in [0..<2, 2..<2, 2..<3, 3..<6, 6..<6] {
                    gathered.append(UnsafeRawBufferPointer(rebasing: all[range]))
                }
                gathered.removeFirst(count)
                let (left, isEmpty) = (pieces(gathered.transfer(Descriptor(0), 0, [])), gathered.isEmpty)
                #expect(left.flatMap(\.self) == Array(bytes.dropFirst(count)))
                #expect(left.allSatisfy { !$0.isEmpty } && isEmpty == (count == 6))
            }
        }
    }

    @Test func oneTransferTakesAsManyAsTheKernelDoes() {
        let byte: [UInt8] = [7]
        byte.withUnsafeBytes { byte in
            var gathered = GatheredBytes(capacity: 2500)
            for _ in 0..<2500 { gathered.append(byte) }
            var counts: [Int] = []
            while !gathered.isEmpty {
                let transfer = gathered.transfer(Descriptor(0), 0, [])
                counts.append(transfer.count)
                gathered.removeFirst(transfer.count)
            }
            #expect(counts == [1024, 1024, 452])
        }
    }

    /// A short piece and a part of the long one behind it go together.
    @Test func theFirstBytesMayEndWithinAPiece() throws {
        let bytes: [UInt8] = [1, 2, 3, 4, 5, 6, 7]
        try bytes.withUnsafeBytes { all in
            var gathered = GatheredBytes(capacity: 3)
            for range in [0..<2, 2..<6, 6..<7] { gathered.append(UnsafeRawBufferPointer(rebasing: all[range])) }
            for limit in 1...8 {
                let first = try gathered.withFirst(limit) { vectors, count throws(IOError) in
                    (0..<count).flatMap {
                        Array(UnsafeRawBufferPointer(start: vectors[$0].iov_base, count: vectors[$0].iov_len))
                    }
                }
                #expect(first == Array(bytes.prefix(limit)))
                // The pieces themselves are as before.
                let left = pieces(gathered.transfer(Descriptor(0), 0, []))
                #expect(left == [[1, 2], [3, 4, 5, 6], [7]])
            }
        }
    }
}
