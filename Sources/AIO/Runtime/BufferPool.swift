/// A pool of aligned memory in power-of-two sizes from 4 KiB to 16 MiB, with a limit on the total.
final class BufferPool: Sendable {
    private struct State: ~Copyable, @unchecked Sendable {
        // @unchecked: the pool alone owns the memory that these pointers refer to.
        var free: [[UnsafeMutableRawPointer]] = Array(repeating: [], count: BufferPool.classCount)
        /// The bytes in buffers, and the bytes that are free for reuse.
        var usedSize = 0
        var freeSize = 0
        var waiters = Line()
    }

    private final class Waiter: @unchecked Sendable {
        // @unchecked: the continuation is set before the waiter joins the line, under its lock.
        let sizeClass: Int
        var continuation: UnsafeContinuation<Result<Address, IOError>, Never>?

        init(_ sizeClass: Int) { self.sizeClass = sizeClass }
    }

    private typealias Line = WaitingLine<Waiter>

    private struct Address: @unchecked Sendable {
        // @unchecked: passes ownership from the pool to one buffer.
        let base: UnsafeMutableRawPointer
    }

    /// A page, which is also an alignment that every device accepts for direct I/O.
    private static let smallest = 4096
    /// The sizes double from 4 KiB to 16 MiB.
    private static let classCount = 13
    static var largest: Int { smallest << (classCount - 1) }

    private let sizeMax: Int
    private let atLimit: IORuntime.AtLimit
    private let state = Guarded(State())

    /// The default limit serves as many buffers of 1 MiB as a loop has slots (256).
    init(atLimit: IORuntime.AtLimit, sizeMax: Int = 256 << 20) {
        self.atLimit = atLimit
        self.sizeMax = sizeMax
    }

    deinit {
        state.withLock { state in
            for list in state.free { for base in list { base.deallocate() } }
        }
    }

    /// The number of callers that wait.
    var waiterCount: Int { state.withLock { $0.waiters.count } }

    /// The number of bytes in buffers.
    var usedSize: Int { state.withLock { $0.usedSize } }

    /// A buffer, or nil if the caller would have to wait.
    func acquireNow(count: Int) throws(IOError) -> IOBuffer? {
        try check(count)
        let sizeClass = Self.sizeClass(count)
        guard let address = state.withLock({ takeUnlessOthersWait(sizeClass, &$0) }) else { return nil }
        return IOBuffer(address.base, capacity: Self.smallest << sizeClass, count: count, pool: self)
    }

    private func check(_ count: Int) throws(IOError) {
        guard count >= 0, count <= Self.largest else {
            throw IOError(.invalidArgument, "buffer", advice: "the count must be 0 to \(Self.largest)")
        }
    }

    func acquire(count: Int) async throws(IOError) -> IOBuffer {
        try check(count)
        if Task.isCancelled { throw IOError(.cancelled, "buffer") }
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
        let served = state.withLock { state -> [(Line.Place, Address)] in
            state.usedSize -= capacity
            state.freeSize += capacity
            state.free[sizeClass].append(base)
            return serveWaiters(&state)
        }
        for (place, address) in served { Self.answer(place, .success(address)) }
    }

    /// Resumes a waiter that was removed from the line. Called exactly once, by the side that removed it.
    private static func answer(_ place: Line.Place, _ answer: Result<Address, IOError>) {
        place.value.continuation?.resume(returning: answer)
    }

    /// Assigns memory to waiters, in order, as far as the limit permits. The caller resumes them outside the lock.
    private func serveWaiters(_ state: inout State) -> [(Line.Place, Address)] {
        var served: [(Line.Place, Address)] = []
        while let first = state.waiters.first, let address = take(first.value.sizeClass, &state) {
            state.waiters.remove(first)
            served.append((first, address))
        }
        return served
    }

    private static func sizeClass(_ count: Int) -> Int {
        let pages = max(1, (count + smallest - 1) / smallest)
        return Int.bitWidth - (pages - 1).leadingZeroBitCount
    }

    /// nil at the limit, and if others wait. Without the second condition, a waiter for a large buffer would starve.
    private func takeUnlessOthersWait(_ sizeClass: Int, _ state: inout State) -> Address? {
        state.waiters.isEmpty ? take(sizeClass, &state) : nil
    }

    /// nil at the limit. Free memory of other sizes is deallocated first.
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
        let place = Line.Place(Waiter(sizeClass))
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let answer = state.withLock { state -> Result<Address, IOError>? in
                    if place.hasLeft { return .failure(IOError(.cancelled, "buffer")) }
                    // Memory may have been released in the meantime.
                    if let address = takeUnlessOthersWait(sizeClass, &state) { return .success(address) }
                    place.value.continuation = continuation
                    state.waiters.append(place)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            cancel(place)
        }
    }

    private func cancel(_ place: Line.Place) {
        let (isWaiting, served) = state.withLock { state -> (Bool, [(Line.Place, Address)]) in
            place.hasLeft = true
            guard state.waiters.remove(place) else { return (false, []) }
            // The waiters behind it may need less memory.
            return (true, serveWaiters(&state))
        }
        if isWaiting { Self.answer(place, .failure(IOError(.cancelled, "buffer"))) }
        for (place, address) in served { Self.answer(place, .success(address)) }
    }
}
