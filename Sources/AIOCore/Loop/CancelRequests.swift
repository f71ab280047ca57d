internal import Synchronization

/// Cancel requests from any thread to the loop. Cancels are rare, so a lock suffices; a slot is listed at most once,
/// which bounds the list.
struct CancelRequests: ~Copyable {
    private let lock = Lock()
    /// Whether the list is nonempty, readable by the loop without the lock.
    private let flag: UnsafeMutablePointer<Atomic<Bool>>
    private let state: UnsafeMutablePointer<State>
    private let capacity: Int

    private struct State: ~Copyable {
        /// The listed slots, oldest first.
        var slots: FixedQueue<UInt32>
        /// By slot, the generation to cancel, and whether the slot is listed.
        let generations: UnsafeMutablePointer<UInt32>
        let isListed: UnsafeMutablePointer<Bool>

        init(capacity: Int) {
            slots = FixedQueue(capacity: capacity)
            generations = .allocate(capacity: capacity)
            isListed = .allocate(capacity: capacity)
            isListed.initialize(repeating: false, count: capacity)
        }

        deinit {
            generations.deallocate()
            isListed.deallocate()
        }
    }

    init(capacity: Int) {
        self.capacity = capacity
        flag = .allocate(capacity: 1)
        flag.initialize(to: Atomic(false))
        state = .allocate(capacity: 1)
        state.initialize(to: State(capacity: capacity))
    }

    deinit {
        state.deinitialize(count: 1)
        state.deallocate()
        flag.deallocate()
    }

    /// Adds a request; from any thread. The caller then wakes the loop if it sleeps.
    ///
    /// A token of a larger queue names no slot here, as a stale one names no operation, and is ignored. A program can
    /// pass such a token, so this is checked in release builds too.
    borrowing func put(_ token: Token) {
        guard token.slot < capacity else { return }
        lock.lock()
        let slot = Int(token.slot)
        if !state.pointee.isListed[slot] {
            state.pointee.isListed[slot] = true
            (state.pointee.generations + slot).initialize(to: token.generation)
            state.pointee.slots.append(token.slot)
        } else if Self.isNewer(token.generation, than: state.pointee.generations[slot]) {
            // The listed token is stale: its slot has been reused.
            state.pointee.generations[slot] = token.generation
        }
        lock.unlock()
        // Sequentially consistent with the inbox's word, against a lost wake-up: a loop that is falling asleep sees the
        // flag, or is woken.
        flag.pointee.store(true, ordering: .sequentiallyConsistent)
    }

    /// Generations have 31 bits and wrap.
    private static func isNewer(_ one: UInt32, than other: UInt32) -> Bool {
        (one &- other) & 0x7fff_ffff < 0x4000_0000 && one != other
    }

    @inline(__always)
    // Sequentially consistent, as in `put`.
    var isEmpty: Bool { !flag.pointee.load(ordering: .sequentiallyConsistent) }

    /// Takes all requests; on the loop's thread. The lock is free while `body` runs: a cancel may take long, since it
    /// makes system calls and waits for threads that it interrupts.
    @inline(__always)
    borrowing func take(_ body: (Token) -> Void) {
        guard !isEmpty else { return }
        takeListed(body)
    }

    private borrowing func takeListed(_ body: (Token) -> Void) {
        // Before the count: a later `put` sets the flag again.
        flag.pointee.store(false, ordering: .sequentiallyConsistent)
        // Not those that are put meanwhile, which could keep the loop here.
        var left = count
        while left > 0, let token = popFirst() {
            body(token)
            left -= 1
        }
    }

    private var count: Int {
        lock.lock()
        defer { lock.unlock() }
        return state.pointee.slots.count
    }

    private borrowing func popFirst() -> Token? {
        lock.lock()
        defer { lock.unlock() }
        guard let slot = state.pointee.slots.popFirst() else { return nil }
        assert(state.pointee.isListed[Int(slot)], "the slot is listed twice")
        state.pointee.isListed[Int(slot)] = false
        return Token(slot: slot, generation: state.pointee.generations[Int(slot)])
    }
}
