/// Work for devices and workers beside what waits for others: the first is plenty and patient, the second a message that
/// somebody wants answered.
///
/// While messages come, everything else is held until the next turn, and a turn takes so much of it that the next look at
/// sockets is some 50 us away: `limit` operations if no message has come since the turn before, or one for each
/// `messagesAnOperation` that have; none while there are completions to drain. What is held is given first in, first out.
/// After `quietTurnsMax` turns without a message nothing is held, until the next one comes.
struct Pace: ~Copyable {
    /// In order. A token whose operation was cancelled meanwhile names nothing any more.
    private var held: FixedQueue<Token>
    private let capacity: Int
    /// Messages since the last turn that took something: completions of operations that wait for others.
    private var messages = 0
    /// Turns since the last message.
    private var quietTurns = Pace.quietTurnsMax

    static var limit: Int { 8 }
    private static var messagesAnOperation: Int { 8 }
    private static var quietTurnsMax: Int { 64 }

    /// The longest sleep of a turn that leaves something held: what went before may be stuck.
    static var patience: Nanoseconds { 1_000_000 }

    init(capacity: Int) {
        held = FixedQueue(capacity: capacity)
        self.capacity = capacity
    }

    var isHolding: Bool { !held.isEmpty }

    /// A completion was drained that somebody else brought.
    @inline(__always)
    mutating func noteMessage() {
        messages += 1
        quietTurns = 0
    }

    /// False if it is not to be held.
    @inline(__always)
    fileprivate mutating func hold(_ token: Token) -> Bool {
        guard quietTurns < Self.quietTurnsMax, held.count < capacity else { return false }
        held.append(token)
        return true
    }

    @inline(__always)
    fileprivate mutating func popFirst() -> Token? { held.popFirst() }

    /// How many operations this turn takes.
    fileprivate mutating func allowance(hasReady: Bool) -> Int {
        guard quietTurns < Self.quietTurnsMax else { return .max }
        if messages > 0 {
            defer { messages = 0 }
            return max(messages / Self.messagesAnOperation, 1)
        }
        guard !hasReady else { return 0 }
        quietTurns += 1
        return Self.limit
    }
}

extension EngineQueue {
    /// Gives an operation to the engine, now or in a turn that has room for it.
    @inline(__always)
    mutating func stageInPace(_ operation: Operation, _ token: Token) {
        // Whoever waits for the exported descriptor alone takes no turns.
        guard !isExported, !table[token].pointee.isMessage, pace.hold(token) else {
            return engine.stage(operation, token)
        }
        table.setHeld(token, true)
    }

    /// At the beginning of a turn.
    @inline(__always)
    mutating func stageHeld() {
        let allowance = pace.allowance(hasReady: readyCount > 0)
        if pace.isHolding { stageHeld(atMost: allowance) }
    }

    mutating func stageHeld(atMost limit: Int) {
        var count = 0
        while count < limit, let token = pace.popFirst() {
            guard let slot = table.find(token), slot.pointee.state == .held else { continue }
            table.setHeld(token, false)
            slot.pointee.issuerChanges = issuerChanges
            engine.stage(slot.pointee.operation, token)
            count += 1
        }
    }

    /// Until when a turn may sleep.
    @inline(__always)
    func sleepEnd(_ deadline: Nanoseconds) -> Nanoseconds {
        let end = min(deadline, deadlines.earliest)
        return pace.isHolding ? min(end, Kernel.now() &+ Pace.patience) : end
    }
}

extension Operation {
    /// Whether its completion is a message of somebody else's: what waits, other than for the clock.
    @inline(__always)
    var isMessage: Bool {
        switch self {
        case .timeout, .repeatingTimeout: false
        default: isWait
        }
    }
}
