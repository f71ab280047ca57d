import Testing
import UnitSupport

@testable import AIO

@Suite struct BufferPoolTests {
    private static let page = 4096

    // MARK: Buffers

    @Test(arguments: [(0, 1), (1, 1), (4096, 1), (4097, 2), (8193, 4), (1 << 20, 256), (16 << 20, 4096)])
    func aBufferHasRoomForWhatWasAskedInWholePowersOfTwoPages(_ count: Int, _ pages: Int) async throws {
        let pool = BufferPool(atLimit: .fail)
        var buffer = try await pool.acquire(count: count)
        #expect(buffer.capacity == pages * Self.page)
        #expect(buffer.count == count)
        let isAligned = buffer.withUnsafeMutableBytes { Int(bitPattern: $0.baseAddress) % Self.page == 0 }
        #expect(isAligned)
    }

    @Test(arguments: [-1, BufferPool.largest + 1, .max])
    func aCountOutOfRangeIsRefused(_ count: Int) async {
        let pool = BufferPool(atLimit: .wait)
        await expect(.invalidArgument) { _ = try await pool.acquire(count: count) }
    }

    @Test func aBufferIsReadAndWrittenThroughItsSpans() async throws {
        let pool = BufferPool(atLimit: .fail)
        var buffer = try await pool.acquire(count: 3)
        buffer.withMutableBytes { bytes in
            for index in 0..<3 { bytes.storeBytes(of: UInt8(index + 5), toByteOffset: index, as: UInt8.self) }
        }
        let (sum, byteCount) = buffer.withBytes { bytes in
            (
                (0..<bytes.byteCount).reduce(0) { $0 + Int(bytes.unsafeLoad(fromByteOffset: $1, as: UInt8.self)) },
                bytes.byteCount
            )
        }
        #expect(sum == 18)
        #expect(byteCount == 3)
        buffer.count = 1
        let shorter = buffer.withUnsafeBytes { $0.count }
        let all = buffer.withUnsafeMutableBytes { $0.count }
        #expect(shorter == 1)
        #expect(all == Self.page)
    }

    @Test func aBufferComesBackWhenItIsAskedForAgain() async throws {
        let pool = BufferPool(atLimit: .fail)
        let first = try await address(pool, 4096)
        let second = try await address(pool, 4096)
        let other = try await address(pool, 8192)
        #expect(first == second)
        #expect(other != first)
    }

    @Test func whoDoesNotWaitGetsNothingAtTheLimit() async throws {
        let pool = BufferPool(atLimit: .wait, sizeMax: 8192)
        let first = try pool.acquireNow(count: 1)
        let second = try await pool.acquire(count: 1)
        #expect(pool.usedSize == 8192)
        let third = try pool.acquireNow(count: 1)
        let isRefused = third == nil
        #expect(isRefused)
        // Keeps the buffers alive until here.
        _ = (first != nil, second.count)
        await expect(.invalidArgument) { _ = try pool.acquireNow(count: -1) }
    }

    private func address(_ pool: BufferPool, _ count: Int) async throws -> Int {
        let buffer = try await pool.acquire(count: count)
        return buffer.withUnsafeBytes { Int(bitPattern: $0.baseAddress) }
    }

    // MARK: The limit

    @Test func atTheLimitACallerWhoDoesNotWaitIsTold() async throws {
        let pool = BufferPool(atLimit: .fail, sizeMax: 2 * Self.page)
        let first = try await pool.acquire(count: 1)
        let second = try await pool.acquire(count: 1)
        await expect(.limitReached) { _ = try await pool.acquire(count: 1) }
        release(first)
        let third = try await pool.acquire(count: 1)
        release(second)
        release(third)
    }

    @Test func memoryOfAnotherSizeIsGivenUpForWhatIsAskedFor() async throws {
        let pool = BufferPool(atLimit: .fail, sizeMax: 4 * Self.page)
        for count in [4096, 8192, 16384, 4096, 16384] {
            let buffer = try await pool.acquire(count: count)
            release(buffer)
        }
    }

    @Test func aCallerWaitsUntilABufferComesBack() async throws {
        let pool = BufferPool(atLimit: .wait, sizeMax: Self.page)
        let first = try await pool.acquire(count: 1)
        let order = Order()
        let waiter = Task { try await acquireAndRelease(pool, 1) { order.note("acquired") } }
        await pool.untilWaiting(1)
        order.note("released")
        release(first)
        try await waiter.value
        #expect(order.notes == ["released", "acquired"])
    }

    @Test func thoseWhoWaitAreServedInOrder() async throws {
        let pool = BufferPool(atLimit: .wait, sizeMax: Self.page)
        let first = try await pool.acquire(count: 1)
        let order = Order()
        var waiters: [Task<Void, any Error>] = []
        for name in ["a", "b", "c"] {
            waiters.append(Task { try await acquireAndRelease(pool, 1) { order.note(name) } })
            await pool.untilWaiting(waiters.count)
        }
        release(first)
        for waiter in waiters { try await waiter.value }
        #expect(order.notes == ["a", "b", "c"])
    }

    /// A request for much memory is not overtaken for ever by requests for little.
    @Test func aNewcomerDoesNotOvertakeThoseWhoWait() async throws {
        let pool = BufferPool(atLimit: .wait, sizeMax: 4 * Self.page)
        let first = try await pool.acquire(count: Self.page)
        let order = Order()
        let large = Task { try await acquireAndRelease(pool, 4 * Self.page) { order.note("large") } }
        await pool.untilWaiting(1)
        // There is room for it, but it has to wait its turn.
        let small = Task { try await acquireAndRelease(pool, Self.page) { order.note("small") } }
        await pool.untilWaiting(2)
        release(first)
        try await large.value
        try await small.value
        #expect(order.notes == ["large", "small"])
    }

    // MARK: Cancelling

    @Test func aCancelledCallerStopsWaiting() async throws {
        let pool = BufferPool(atLimit: .wait, sizeMax: Self.page)
        let first = try await pool.acquire(count: 1)
        let waiter = Task { try await acquireAndRelease(pool, 1) }
        await pool.untilWaiting(1)
        waiter.cancel()
        await expect(.cancelled) { try await waiter.value }
        release(first)
        // The cancelled caller does not hold the memory that became free.
        let second = try await pool.acquire(count: 1)
        release(second)
    }

    @Test func aCallerCancelledBeforehandDoesNotWait() async throws {
        let pool = BufferPool(atLimit: .wait, sizeMax: Self.page)
        let first = try await pool.acquire(count: 1)
        let waiter = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await acquireAndRelease(pool, 1)
        }
        await expect(.cancelled) { try await waiter.value }
        release(first)
    }

    /// Behind a large request that was cancelled there may be small ones that fit.
    @Test func whoWaitedBehindACancelledCallerIsServed() async throws {
        let pool = BufferPool(atLimit: .wait, sizeMax: 2 * Self.page)
        let first = try await pool.acquire(count: Self.page)
        let large = Task { try await acquireAndRelease(pool, 2 * Self.page) }
        await pool.untilWaiting(1)
        let small = Task { try await acquireAndRelease(pool, Self.page) }
        await pool.untilWaiting(2)
        large.cancel()
        await expect(.cancelled) { try await large.value }
        try await small.value
        release(first)
    }

    @Test func underManyTasksEveryBufferComesBack() async throws {
        let pool = BufferPool(atLimit: .wait, sizeMax: 8 * Self.page)
        await withTaskGroup(of: Void.self) { group in
            for index in 0..<64 {
                group.addTask {
                    for turn in 0..<50 { try? await acquireAndRelease(pool, Self.page << ((index + turn) % 4)) }
                }
                guard index % 8 == 7 else { continue }
                group.addTask {
                    withUnsafeCurrentTask { $0?.cancel() }
                    try? await acquireAndRelease(pool, Self.page)
                }
            }
        }
        // All of the memory is free again.
        let all = try await pool.acquire(count: 8 * Self.page)
        release(all)
    }
}

/// Drops the buffer immediately.
private func release(_ buffer: consuming IOBuffer) {}

private func acquireAndRelease(
    _ pool: BufferPool, _ count: Int, acquired: @Sendable () -> Void = {}
) async throws {
    let buffer = try await pool.acquire(count: count)
    acquired()
    release(buffer)
}

extension BufferPool {
    /// Waits until `count` callers wait.
    fileprivate func untilWaiting(_ count: Int) async {
        await #expect(eventuallyAsync { self.waiterCount == count })
    }
}
