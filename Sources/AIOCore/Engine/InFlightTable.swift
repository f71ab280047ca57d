internal import Synchronization

/// Every operation between preparation and drain, by slot and generation. A pure state machine: it calls nothing
/// and waits for nothing.
///
/// A slot is *acquired* by any thread, which fills in what is to be done and hands the token to the owner of the
/// queue; from then on the owner alone drives it: `stage`, `requestCancel`, `complete`, `release`. Releasing
/// moves the generation on, so that a token kept too long names nothing.
final class InFlightTable: @unchecked Sendable {
    // @unchecked: the pointers are made once; who may touch what they point at, and when, is said at `Slot`.

    /// Slots in all.
    let capacity: Int
    /// Those up to here are for all operations, those from here on for what waits (`Operation.isWait`).
    private let queueDepth: Int
    private let slots: UnsafeMutablePointer<Slot>
    private let free: SlotPool
    private let freeForWaits: SlotPool

    /// Every slot begins with `generation`: a test of the wrap begins just before it.
    init(capacity queueDepth: Int, waitingCapacity: Int = 0, generation: UInt32 = 0) {
        self.queueDepth = queueDepth
        capacity = queueDepth + waitingCapacity
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: Slot(generation: generation), count: capacity)
        free = SlotPool(capacity: queueDepth)
        freeForWaits = SlotPool(capacity: waitingCapacity, first: queueDepth)
    }

    deinit { slots.deallocate() }

    /// One operation.
    struct Slot: BitwiseCopyable {
        // Written by whoever acquired the slot, before it hands the token to the owner.
        var operation = Operation.nop
        var context: UInt = 0
        var deadline = Nanoseconds.never

        // The owner's alone.
        fileprivate(set) var generation: UInt32 = 0
        fileprivate(set) var state = State.unstaged
        fileprivate(set) var isCancelRequested = false
        var isDeadlinePassed = false
        /// Of a write that is to be whole (`TransferFlags.whole`): what is written already.
        var progress = 0
        /// Whether it is carried out in steps, and the buffer that the present one has.
        fileprivate(set) var isInSteps = false
        var hasBuffer = false
        var buffer: UInt16 = 0
        /// How often the submitting thread had changed when it was staged: the kernel cancels a thread's operations
        /// when the thread exits.
        var issuerChanges: UInt32 = 0

        fileprivate init(generation: UInt32) { self.generation = generation }
    }

    enum State: UInt8, BitwiseCopyable {
        /// Free, or acquired and not yet with the owner.
        case unstaged
        /// With the engine. Left by `complete`, or for `awaitingReadiness`.
        case submitted
        /// With the engine as a poll, since the descriptor was not ready; `submitted` again when it is.
        case awaitingReadiness
        /// With nobody until its time comes: then it is `submitted` again.
        case pausing
        /// With nobody until a turn has room for it (`EngineQueuePacing`): then it is `submitted`.
        case held
        /// As `submitted`, but a result is not the end of the operation (`EngineQueueSteps`), which may be a timer's.
        case stepping
        /// As `submitted`, but a short count is not the end of the write (`EngineQueueWholeWrites`).
        case writing
        /// One of its completions waits to be drained; then it is `stepping` again.
        case resting
        /// Its result is known and waits to be drained. Left by `release`.
        case completed
    }

    // MARK: Any thread

    /// Takes a slot; nil at the limit. The caller fills in `operation`, `context` and `deadline`.
    func acquire(forWait isWait: Bool = false) -> Token? {
        guard let slot = isWait && capacity > queueDepth ? freeForWaits.pop() : free.pop() else { return nil }
        return Token(slot: slot, generation: slots[Int(slot)].generation)
    }

    /// Takes a slot and fills it in.
    @inline(__always)
    func prepare(_ operation: Operation, context: UInt, deadline: Nanoseconds) -> Token? {
        guard let token = acquire(forWait: operation.isWait) else { return nil }
        let slot = self[token]
        slot.pointee.operation = operation
        slot.pointee.context = context
        slot.pointee.deadline = deadline
        return token
    }

    /// The slot of a token that is known to be live.
    @inline(__always)
    subscript(token: Token) -> UnsafeMutablePointer<Slot> { slots + Int(token.slot) }

    // MARK: The owner

    /// The slot if the token is live: right slot, right generation.
    @inline(__always)
    func find(_ token: Token) -> UnsafeMutablePointer<Slot>? {
        guard token.slot < capacity else { return nil }
        let slot = slots + Int(token.slot)
        return slot.pointee.generation == token.generation ? slot : nil
    }

    enum Staging { case submit, cancelledBefore }

    /// unstaged → submitted; or → completed if a cancel came first.
    func stage(_ token: Token) -> Staging {
        let slot = self[token]
        assert(slot.pointee.state == .unstaged)
        // Only now is the operation the owner's to look at.
        if slot.pointee.isCancelRequested, slot.pointee.operation.isRelease { slot.pointee.isCancelRequested = false }
        guard !slot.pointee.isCancelRequested else {
            slot.pointee.state = .completed
            return .cancelledBefore
        }
        slot.pointee.state = .submitted
        return .submit
    }

    /// Between submitted, stepping or writing, and awaitingReadiness.
    func setAwaitingReadiness(_ token: Token, _ isAwaiting: Bool) {
        let slot = self[token]
        if isAwaiting {
            slot.pointee.state = .awaitingReadiness
        } else if slot.pointee.isInSteps {
            slot.pointee.state = .stepping
        } else {
            slot.pointee.state = slot.pointee.operation.isWholeWrite ? .writing : .submitted
        }
    }

    /// submitted → writing.
    func setWriting(_ token: Token) { self[token].pointee.state = .writing }

    /// submitted, resting → stepping.
    func setStepping(_ token: Token) {
        self[token].pointee.isInSteps = true
        self[token].pointee.state = .stepping
    }

    /// stepping → resting.
    func setResting(_ token: Token) {
        assert(self[token].pointee.state == .stepping)
        self[token].pointee.state = .resting
    }

    /// Between submitted and pausing.
    func setPausing(_ token: Token, _ isPausing: Bool) {
        self[token].pointee.state = isPausing ? .pausing : .submitted
    }

    func isPausing(_ token: Token) -> Bool { self[token].pointee.state == .pausing }

    /// Between submitted and held.
    func setHeld(_ token: Token, _ isHeld: Bool) {
        self[token].pointee.state = isHeld ? .held : .submitted
    }

    enum Cancelling {
        /// No such operation, or its result is known already.
        case unknown
        case requestedBefore
        /// It gives something up, and is carried out.
        case isRelease
        /// Marked; it ends when it is staged, or goes on.
        case endsWhenStaged
        /// Marked; no engine has it.
        case isWithNobody
        case askEngine
    }

    func requestCancel(_ token: Token) -> Cancelling {
        guard let slot = find(token), slot.pointee.state != .completed else { return .unknown }
        guard !slot.pointee.isCancelRequested else { return .requestedBefore }
        guard slot.pointee.state == .unstaged || !slot.pointee.operation.isRelease else { return .isRelease }
        slot.pointee.isCancelRequested = true
        switch slot.pointee.state {
        case .unstaged, .resting: return .endsWhenStaged
        case .pausing, .held: return .isWithNobody
        case .submitted, .awaitingReadiness, .stepping, .writing, .completed: return .askEngine
        }
    }

    /// submitted, awaitingReadiness, pausing, held, stepping, writing → completed.
    func complete(_ token: Token) {
        assert(self[token].pointee.state != .unstaged && self[token].pointee.state != .completed)
        self[token].pointee.state = .completed
    }

    /// completed → unstaged, under the next generation. 31 bits of it: the top bit of a token is the engines'.
    func release(_ token: Token) {
        let slot = self[token]
        assert(slot.pointee.state == .completed)
        slot.pointee.generation = (slot.pointee.generation &+ 1) & 0x7fff_ffff
        slot.pointee.state = .unstaged
        slot.pointee.isCancelRequested = false
        slot.pointee.isDeadlinePassed = false
        slot.pointee.isInSteps = false
        slot.pointee.progress = 0
        if token.slot < queueDepth { free.push(token.slot) } else { freeForWaits.push(token.slot) }
    }

    /// The live token of a slot.
    func token(of slot: UInt32) -> Token { Token(slot: slot, generation: slots[Int(slot)].generation) }

    /// The token at `index` if that operation is staged and has no result yet.
    func submittedToken(at index: Int) -> Token? {
        switch slots[index].state {
        case .submitted, .awaitingReadiness, .pausing, .held, .stepping, .writing, .resting: token(of: UInt32(index))
        case .unstaged, .completed: nil
        }
    }
}
