internal import CKernel
internal import Synchronization

/// All operations between preparation and drain, by slot and generation. A pure state machine: it makes no system calls
/// and never blocks.
///
/// Any thread may *acquire* a slot, fill it in and hand its token to the queue's owner. From then on the owner alone
/// drives it: `stage`, `requestCancel`, `complete`, `release`. A release increments the generation, so that a stale
/// token matches nothing.
final class InFlightTable: @unchecked Sendable {
    // @unchecked: the pointers never change; `Slot` states who may access the memory behind them, and when.

    /// The total number of slots.
    let capacity: Int
    /// Slots below this are for all operations, those from here on for waits (`Operation.isWait`).
    private let queueDepth: Int
    private let slots: UnsafeMutablePointer<Slot>
    private let free: SlotPool
    private let freeForWaits: SlotPool

    /// `generation` is the initial one of all slots: a test of the wrap starts just before it.
    /// `isShared`: any thread may acquire a slot at any time.
    init(capacity queueDepth: Int, waitingCapacity: Int = 0, isShared: Bool = true, generation: UInt32 = 0) {
        self.queueDepth = queueDepth
        capacity = queueDepth + waitingCapacity
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: Slot(generation: generation), count: capacity)
        free = SlotPool(capacity: queueDepth, isShared: isShared)
        freeForWaits = SlotPool(capacity: waitingCapacity, first: queueDepth, isShared: isShared)
    }

    deinit { slots.deallocate() }

    /// The state of one operation.
    struct Slot: BitwiseCopyable {
        // Written by the thread that acquired the slot, before it hands the token to the owner.
        var operation = Operation.nop
        var context: UInt = 0
        var deadline = Nanoseconds.never

        // Accessed by the owner alone.
        fileprivate(set) var generation: UInt32 = 0
        fileprivate(set) var state = State.unstaged
        fileprivate(set) var isCancelRequested = false
        var isDeadlinePassed = false
        /// For a whole write (`Transfer.Form.whole`): the bytes written so far.
        var progress = 0
        /// Whether the operation runs in steps, and the buffer of the current step.
        fileprivate(set) var isInSteps = false
        var hasBuffer = false
        var buffer: UInt16 = 0
        /// The queue's count of issuer changes at staging: the kernel cancels a thread's operations when the thread
        /// exits.
        var issuerChanges: UInt32 = 0

        fileprivate init(generation: UInt32) { self.generation = generation }

        /// The completion as the caller gets it.
        @inline(__always)
        func delivery(_ completion: Completion) -> Delivery {
            var completion = completion
            if completion.result > 0, let events = operation.polledEvents {
                // io_uring also reports POLLRDHUP when it was not requested.
                completion.result &= Int32(bitPattern: events | CK_POLLERR | CK_POLLHUP | CK_POLLNVAL)
            }
            if isDeadlinePassed, completion.result == -ECANCELED { completion.flags.insert(.deadlinePassed) }
            return Delivery(completion: completion, context: context)
        }
    }

    enum State: UInt8, BitwiseCopyable, CaseIterable {
        /// Free, or acquired and not yet handed to the owner.
        case unstaged
        /// With the engine, which reports the final result or a reason to retry.
        case submitted
        /// With the engine as a poll, because the descriptor was not ready; retried when it is.
        case awaitingReadiness
        /// With nobody until the retry time; then `submitted`.
        case pausing
        /// With nobody until a turn admits it (`Pace`); then `submitted`.
        case held
        /// Like `submitted`, or a repeating timer; a result need not end the operation (`Steps`).
        case stepping
        /// Like `submitted`; a short transfer does not end the write (`WholeWrite`).
        case writing
        /// A completion other than the last awaits its drain; then `stepping`.
        case resting
        /// The final completion awaits its drain. Ends with `release`.
        case completed

        /// The permitted transitions.
        func mayBecome(_ next: State) -> Bool {
            switch self {
            case .unstaged: next == .submitted || next == .completed
            case .submitted:
                switch next {
                case .awaitingReadiness, .pausing, .held, .stepping, .writing, .completed: true
                case .unstaged, .submitted, .resting: false
                }
            case .awaitingReadiness:
                next == .submitted || next == .stepping || next == .writing || next == .completed
            case .pausing, .held: next == .submitted || next == .completed
            case .stepping: next == .awaitingReadiness || next == .resting || next == .completed
            case .writing: next == .awaitingReadiness || next == .completed
            case .resting: next == .stepping
            case .completed: next == .unstaged
            }
        }
    }

    /// The only place that changes a state.
    @inline(__always)
    private func change(_ slot: UnsafeMutablePointer<Slot>, to next: State) {
        assert(slot.pointee.state.mayBecome(next), "not a successor of the state of the operation")
        slot.pointee.state = next
    }

    // MARK: Any thread

    /// Takes a slot; nil at the limit. The caller fills in `operation`, `context` and `deadline`.
    @inline(__always)
    func acquire(forWait isWait: Bool = false) -> Token? {
        guard let slot = isWait && capacity > queueDepth ? freeForWaits.pop() : free.pop() else { return nil }
        assert(slots[Int(slot)].state == .unstaged, "a free slot has an operation in flight")
        return Token(slot: slot, generation: slots[Int(slot)].generation)
    }

    /// Takes a slot and fills it in; nil at the limit.
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

    /// The slot if the token is live: its slot exists, and the generation matches.
    @inline(__always)
    func find(_ token: Token) -> UnsafeMutablePointer<Slot>? {
        guard token.slot < capacity else { return nil }
        let slot = slots + Int(token.slot)
        return slot.pointee.generation == token.generation ? slot : nil
    }

    enum Staging { case submit, cancelledBefore }

    /// unstaged → submitted; or → completed if a cancel came first.
    func stage(_ token: Token) -> Staging {
        assert(find(token) != nil, "the token is stale")
        let slot = self[token]
        if slot.pointee.isCancelRequested, isCancelledBefore(slot) {
            change(slot, to: .completed)
            return .cancelledBefore
        }
        change(slot, to: .submitted)
        return .submit
    }

    /// Whether the early cancel applies: only now may the owner read the operation, and a release is executed
    /// regardless.
    @inline(never)
    private func isCancelledBefore(_ slot: UnsafeMutablePointer<Slot>) -> Bool {
        if slot.pointee.operation.isRelease { slot.pointee.isCancelRequested = false }
        return slot.pointee.isCancelRequested
    }

    /// Between submitted, stepping or writing, and awaitingReadiness.
    func setAwaitingReadiness(_ token: Token, _ isAwaiting: Bool) {
        let slot = self[token]
        if isAwaiting {
            change(slot, to: .awaitingReadiness)
        } else if slot.pointee.isInSteps {
            change(slot, to: .stepping)
        } else {
            change(slot, to: slot.pointee.operation.isWholeWrite ? .writing : .submitted)
        }
    }

    /// submitted → writing.
    func setWriting(_ token: Token) { change(self[token], to: .writing) }

    /// submitted, resting → stepping.
    func setStepping(_ token: Token) {
        self[token].pointee.isInSteps = true
        change(self[token], to: .stepping)
    }

    /// stepping → resting.
    func setResting(_ token: Token) { change(self[token], to: .resting) }

    /// Between submitted and pausing.
    func setPausing(_ token: Token, _ isPausing: Bool) { change(self[token], to: isPausing ? .pausing : .submitted) }

    func isPausing(_ token: Token) -> Bool { self[token].pointee.state == .pausing }

    /// Between submitted and held.
    func setHeld(_ token: Token, _ isHeld: Bool) { change(self[token], to: isHeld ? .held : .submitted) }

    enum Cancelling {
        /// No such operation, or it has completed.
        case unknown
        case requestedBefore
        /// A release, which is not cancelled.
        case isRelease
        /// Marked; ends when it is staged, or when its next step would start.
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
        assert(find(token) != nil, "the token is stale")
        change(self[token], to: .completed)
    }

    /// completed → unstaged, with the next generation: 31 bits, since the top bit of a token is reserved for the
    /// engines.
    @inline(__always)
    func release(_ token: Token) {
        let slot = self[token]
        assert(find(token) != nil, "the token is stale")
        assert(!slot.pointee.hasBuffer, "the buffer of a step was not given back")
        change(slot, to: .unstaged)
        slot.pointee.generation = (slot.pointee.generation &+ 1) & 0x7fff_ffff
        slot.pointee.isCancelRequested = false
        slot.pointee.isDeadlinePassed = false
        slot.pointee.isInSteps = false
        slot.pointee.progress = 0
        if token.slot < queueDepth { free.push(token.slot) } else { freeForWaits.push(token.slot) }
    }

    /// The live token of a slot.
    func token(of slot: UInt32) -> Token { Token(slot: slot, generation: slots[Int(slot)].generation) }

    /// The token of slot `index` if its operation is staged and has no final result yet.
    func submittedToken(at index: Int) -> Token? {
        switch slots[index].state {
        case .submitted, .awaitingReadiness, .pausing, .held, .stepping, .writing, .resting: token(of: UInt32(index))
        case .unstaged, .completed: nil
        }
    }
}

extension Operation {
    @inline(__always)
    fileprivate var polledEvents: UInt32? {
        switch self {
        case .poll(_, let events), .pollEach(_, let events): events
        default: nil
        }
    }
}
