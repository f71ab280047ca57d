import CKernel
import Testing

@testable import AIOCore

/// What is left of a write after a short transfer.
@Suite struct RestOfWriteTests {
    private static var start: UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: 1 << 20) }

    private func write(_ count: Int, at offset: Int64, kind: Descriptor.Kind = .buffered) -> Operation {
        .transfer(Transfer(Descriptor(1, kind: kind), Self.start, count: count, offset: offset, form: .writing))
    }

    @Test func theRestBeginsWhereTheTransferEnded() throws {
        let rest = try #require(write(10, at: 100).rest(after: 4)?.transfer)
        #expect(rest.base == Self.start.map { $0 + 4 })
        #expect(rest.count == 6)
        #expect(rest.offset == 104)
    }

    @Test func nothingIsLeftOfAWholeTransfer() {
        #expect(write(10, at: 100).rest(after: 10)?.transfer?.count == nil)
        #expect(write(10, at: 100).rest(after: 9)?.transfer?.count == 1)
    }

    @Test func aPositionOfTheKernelsStays() {
        #expect(write(10, at: 0).rest(after: 4)?.transfer?.offset == 4)
        #expect(write(10, at: Transfer.currentPosition).rest(after: 4)?.transfer?.offset == Transfer.currentPosition)
        #expect(write(10, at: 100, kind: .stream).rest(after: 4)?.transfer?.offset == 100)
    }

    @Test func aReadHasNoRest() {
        let read = Transfer(Descriptor(1), Self.start, count: 10, offset: 0)
        #expect(Operation.transfer(read).rest(after: 4)?.transfer?.count == nil)
    }

    @Test(arguments: 0...9)
    func vectorsBeginWhereTheTransferEnded(_ written: Int) {
        // An empty vector in the middle, and one at the end.
        var vectors = zip([0, 100, 200, 300], [3, 0, 6, 0]).map { offset, count in
            iovec(iov_base: Self.start.map { $0 + offset }, iov_len: count)
        }
        let bytes = vectors.flatMap(Self.addresses(of:))
        vectors.withUnsafeMutableBytes { memory in
            let form: Transfer.Form = [.writing, .vectored]
            let whole = Transfer(Descriptor(1), memory.baseAddress, count: 4, offset: 50, form: form)
            guard let rest = Operation.transfer(whole).rest(after: written)?.transfer else {
                return #expect(written == 9)
            }
            let left = UnsafeBufferPointer(start: rest.base?.assumingMemoryBound(to: iovec.self), count: rest.count)
            #expect(left.flatMap(Self.addresses(of:)) == Array(bytes[written...]))
            #expect(rest.offset == 50 + Int64(written))
        }
    }

    private static func addresses(of vector: iovec) -> [UnsafeMutableRawPointer?] {
        (0..<Int(vector.iov_len)).map { step in vector.iov_base.map { $0 + step } }
    }
}
