import Testing
import UnitSupport

@testable import AIO

@Suite struct IOVectorTests {
    private let pool = BufferPool(atLimit: .fail)

    private func buffer(_ bytes: [UInt8]) async throws -> IOBuffer {
        var buffer = try await pool.acquire(count: bytes.count)
        buffer.withUnsafeMutableBytes { $0.copyBytes(from: bytes) }
        return buffer
    }

    @Test func buffersAreKeptInOrderWithTheirCounts() async throws {
        var vector = IOVector(capacity: 2)
        vector.append(try await buffer([1, 2, 3]))
        vector.append(try await buffer([4]))
        let (count, byteCount) = (vector.count, vector.byteCount)
        let first = vector.withUnsafeBytes(ofBufferAt: 0) { Array($0) }
        let second = vector.withUnsafeBytes(ofBufferAt: 1) { Array($0) }
        #expect(count == 2)
        #expect(byteCount == 4)
        #expect(first == [1, 2, 3])
        #expect(second == [4])
    }

    @Test func theLastBufferComesOutFirst() async throws {
        var vector = IOVector(capacity: 2)
        vector.append(try await buffer([1]))
        vector.append(try await buffer([2, 3]))
        let last = vector.removeLast()?.withUnsafeBytes { Array($0) }
        let byteCount = vector.byteCount
        let first = vector.removeLast()?.withUnsafeBytes { Array($0) }
        let isEmpty = vector.removeLast() == nil
        #expect(last == [2, 3])
        #expect(byteCount == 1)
        #expect(first == [1])
        #expect(isEmpty)
    }

    @Test func itsBuffersGoBackToThePoolWithIt() async throws {
        let pool = BufferPool(atLimit: .fail, sizeMax: 2 * 4096)
        for _ in 0..<3 {
            var vector = IOVector(capacity: 2)
            vector.append(try await pool.acquire(count: 1))
            vector.append(try await pool.acquire(count: 1))
        }
    }

    @Test(arguments: [(0, 1), (1025, 1024), (-1, 1), (Int.max, 1024), (Int.min, 1)])
    func ofACapacityThatTheKernelDoesNotTakeItIsTheNearest(_ capacity: Int, _ nearest: Int) {
        let vector = IOVector(capacity: capacity)
        let taken = vector.capacity
        #expect(taken == nearest)
    }
}
