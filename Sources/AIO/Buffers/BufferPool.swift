/// Aligned memory that is used again: sizes in powers of two from 4 KiB to 16 MiB, with a limit on all of it.
final class BufferPool: Sendable {
    private struct State: ~Copyable, @unchecked Sendable {
        // @unchecked: the pointers name memory that is nobody else's while it lies here.
        var free: [[UnsafeMutableRawPointer]] = Array(repeating: [], count: BufferPool.classCount)
        /// Bytes that buffers have, and bytes that lie ready.
        var usedSize = 0
        var freeSize = 0
        var waiters: [Waiter] = []
        var lastID: UInt64 = 0
        var cancelled: Set<UInt64> = []
    }

    private struct Waiter: Sendable {
        var id: UInt64
        var sizeClass: Int
        var continuation: UnsafeContinuation<Result<Address, IOError>, Never>
    }

    private struct Address: @unchecked Sendable {
        // @unchecked: handed over from the pool to one buffer.
        let base: UnsafeMutableRawPointer
    }

    private static let smallest = 4096
    private static let classCount = 13
    static var largest: Int { smallest << (classCount - 1) }

    private let sizeMax: Int
    private let atLimit: IORuntime.AtLimit
    private let state = Guarded(State())

    init(atLimit: IORuntime.AtLimit, sizeMax: Int = 256 << 20) {
        self.atLimit = atLimit
        self.sizeMax = sizeMax
    }

    deinit {
        state.withLock { state in
            for list in state.free { for base in list { base.deallocate() } }
        }
    }

    /// Callers that wait now.
    var waiterCount: Int { state.withLock { $0.waiters.count } }

    /// Bytes that buffers have now.
    var usedSize: Int { state.withLock { $0.usedSize } }

    /// A buffer if there is one without waiting.
    func acquireNow(count: Int) throws(IOError) -> IOBuffer? {
        try check(count)
        let sizeClass = Self.sizeClass(count)
        guard let address = state.withLock({ takeUnlessOthersWait(sizeClass, &$0) }) else { return nil }
        return IOBuffer(address.base, capacity: Self.smallest << sizeClass, count: count, pool: self)
    }

    private func check(_ count: Int) throws(IOError) {
        guard count >= 0, count <= Self.largest else {
            throw IOError(.invalidArgument, "buffer", advice: "count is 0 to \(Self.largest)")
        }
    }

    func acquire(count: Int) async throws(IOError) -> IOBuffer {
        try check(count)
        let sizeClass = Self.sizeClass(count)
        let address: Address
        if let free = state.withLock({ takeUnlessOthersWait(sizeClass, &$0) }) {
            address = free
        } else if atLimit == .fail {
            throw IOError(.limitReached, "buffer", advice: "the pool's \(sizeMax) bytes are in use")
        } else {
            address = try await wait(sizeClass).get()
        }
        return IOBuffer(address.base, capacity: Self.smallest << sizeClass, count: count, pool: self)
    }

    func release(_ base: UnsafeMutableRawPointer, _ capacity: Int) {
        let sizeClass = Self.sizeClass(capacity)
        let served = state.withLock { state -> [(Waiter, Address)] in
            state.usedSize -= capacity
            state.freeSize += capacity
            state.free[sizeClass].append(base)
            return serveWaiters(&state)
        }
        for (waiter, address) in served { waiter.continuation.resume(returning: .success(address)) }
    }

    /// Gives to those who wait, in order, as far as it goes. The caller resumes them, outside the lock.
    private func serveWaiters(_ state: inout State) -> [(Waiter, Address)] {
        var served: [(Waiter, Address)] = []
        while let first = state.waiters.first, let address = take(first.sizeClass, &state) {
            state.waiters.removeFirst()
            served.append((first, address))
        }
        return served
    }

    private static func sizeClass(_ count: Int) -> Int {
        let pages = max(1, (count + smallest - 1) / smallest)
        return Int.bitWidth - (pages - 1).leadingZeroBitCount
    }

    /// nil at the limit, and for those who came after somebody who waits: who wants much would wait for ever otherwise.
    private func takeUnlessOthersWait(_ sizeClass: Int, _ state: inout State) -> Address? {
        state.waiters.isEmpty ? take(sizeClass, &state) : nil
    }

    /// nil at the limit. What lies ready in other sizes is given up before that.
    private func take(_ sizeClass: Int, _ state: inout State) -> Address? {
        let size = Self.smallest << sizeClass
        guard state.usedSize + size <= sizeMax else { return nil }
        state.usedSize += size
        if let base = state.free[sizeClass].popLast() {
            state.freeSize -= size
            return Address(base: base)
        }
        if state.usedSize + state.freeSize > sizeMax { emptyFree(&state) }
        return Address(base: .allocate(byteCount: size, alignment: Self.smallest))
    }

    private func emptyFree(_ state: inout State) {
        for index in state.free.indices {
            for base in state.free[index] { base.deallocate() }
            state.free[index].removeAll(keepingCapacity: true)
        }
        state.freeSize = 0
    }

    private func wait(_ sizeClass: Int) async -> Result<Address, IOError> {
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        // After the handler is gone, nobody can put the id there any more.
        defer { state.withLock { _ = $0.cancelled.remove(id) } }
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let answer = state.withLock { state -> Result<Address, IOError>? in
                    if state.cancelled.contains(id) { return .failure(IOError(.cancelled, "buffer")) }
                    // One may have come back since.
                    if let address = takeUnlessOthersWait(sizeClass, &state) { return .success(address) }
                    state.waiters.append(Waiter(id: id, sizeClass: sizeClass, continuation: continuation))
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            cancel(id)
        }
    }

    private func cancel(_ id: UInt64) {
        let (waiter, served) = state.withLock { state -> (Waiter?, [(Waiter, Address)]) in
            guard let index = state.waiters.firstIndex(where: { $0.id == id }) else {
                state.cancelled.insert(id)
                return (nil, [])
            }
            let waiter = state.waiters.remove(at: index)
            // Those behind it may want less.
            return (waiter, serveWaiters(&state))
        }
        waiter?.continuation.resume(returning: .failure(IOError(.cancelled, "buffer")))
        for (waiter, address) in served { waiter.continuation.resume(returning: .success(address)) }
    }
}
