/// Work for devices and workers beside what waits for others: the first is plenty and patient, the second a message that
/// somebody wants answered.
///
/// While messages come, everything else is held, and earns its place by time: an operation may begin for each
/// `operationTime` that went into messages (`messageTime` for one) or into sleep. So a loop that is busy with messages gives
/// a fifth of its time to the rest, and one that is idle keeps the device busy. Where no message has come in a few turns, a
/// turn takes `limit` operations: the next look at sockets is then some 50 us away. What is held is given first in, first
/// out. After `quietTurnsMax` turns without a message nothing is held, until the next one comes.
struct Pace: ~Copyable {
    /// In order. A token whose operation was cancelled meanwhile names nothing any more.
    private var held: FixedQueue<Token>
    /// Time that no operation has been begun for.
    private var earned: Nanoseconds = 0
    /// Turns since the last message with nothing to drain before them.
    private var quietTurns = Pace.quietTurnsMax

    private static var operationTime: Nanoseconds { 50_000 }
    private static var messageTime: Nanoseconds { 3_000 }
    private static var limit: Int { 8 }
    /// So many turns after a message are still part of its traffic.
    private static var busyTurns: Int { 2 }
    private static var quietTurnsMax: Int { 64 }

    /// The longest sleep of a turn that leaves something held: it has earned an operation then.
    fileprivate static var patience: Nanoseconds { operationTime }

    init(capacity: Int) { held = FixedQueue(capacity: capacity) }

    var isHolding: Bool { !held.isEmpty }

    /// A message was drained (`Operation.isMessage`).
    @inline(__always)
    mutating func noteMessage() {
        earned &+= Self.messageTime
        quietTurns = 0
    }

    /// The loop slept for so long while something was held.
    fileprivate mutating func noteSleep(_ time: Nanoseconds) { earned &+= time }

    /// False if it is not to be held.
    @inline(__always)
    fileprivate mutating func hold(_ token: Token) -> Bool {
        guard quietTurns < Self.quietTurnsMax, !held.isFull else { return false }
        held.append(token)
        return true
    }

    @inline(__always)
    fileprivate mutating func popFirst() -> Token? { held.popFirst() }

    /// How many operations this turn takes.
    fileprivate mutating func allowance(hasReady: Bool) -> Int {
        guard quietTurns < Self.quietTurnsMax else { return .max }
        let share = Int(earned / Self.operationTime)
        earned %= Self.operationTime
        guard share == 0, !hasReady else { return share }
        defer { quietTurns += 1 }
        return quietTurns < Self.busyTurns ? 0 : Self.limit
    }
}

extension EngineQueue {
    /// Gives an operation to the engine, now or in a turn that has room for it.
    @inline(__always)
    mutating func stageInPace(_ operation: Operation, _ token: Token) {
        // Whoever waits for the exported descriptor alone takes no turns.
        guard !isExported, !operation.isWait, pace.hold(token) else { return engine.stage(operation, token) }
        table.setHeld(token, true)
    }

    /// At the beginning of a turn. `hasReady` if somebody has still to drain what came in the one before.
    @inline(__always)
    mutating func stageHeld(hasReady: Bool) {
        let allowance = pace.allowance(hasReady: hasReady)
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

    /// Waits for `count` completions; for one, and not for long, if something is held.
    @inline(__always)
    mutating func sleep(atLeast count: Int, until deadline: Nanoseconds) {
        let end = min(deadline, deadlines.earliest)
        guard pace.isHolding else { return engine.enter(atLeast: count, until: end) }
        let start = Kernel.now()
        engine.enter(atLeast: 1, until: min(end, start &+ Pace.patience))
        pace.noteSleep(Kernel.now() &- start)
    }
}

extension Operation {
    /// Whether its completion is news from somebody else: it waits, but neither for the clock nor for room to write.
    @inline(__always)
    var isMessage: Bool {
        switch self {
        case .timeout, .repeatingTimeout, .write, .writeVectored: false
        case .socket(let call): call.interest == .reading
        default: isWait
        }
    }
}
