/// Admission control between two classes of operation: *disk work* is throughput-bound and arrives in bulk; *messages*
/// (completions on sockets, pipes, children) are latency-bound. While messages arrive, disk work is throttled.
///
/// Throttled work is held in FIFO order and admitted from a time budget: one operation per `operationTime` spent on
/// messages (`messageTime` each) or asleep. A loop that is busy with messages thus spends a fifth of its time on disk
/// work, and an idle one keeps the device busy. After `busyTurns` turns without a message, each turn admits up to
/// `limit` operations, so that sockets are polled again some 50 us later. After `quietTurnsMax` such turns nothing is
/// held until the next message.
struct Pace: ~Copyable {
    /// Held operations in FIFO order. The token of an operation that was cancelled meanwhile is stale.
    private var held: FixedQueue<Token>
    /// The unspent time budget.
    private var earned: Nanoseconds = 0
    /// Turns since the last message that began with nothing to drain.
    private var quietTurns = Pace.quietTurnsMax

    private static var operationTime: Nanoseconds { 50_000 }
    private static var messageTime: Nanoseconds { 3_000 }
    private static var limit: Int { 8 }
    /// So many turns after a message still count as its traffic.
    private static var busyTurns: Int { 2 }
    private static var quietTurnsMax: Int { 64 }

    /// The longest sleep while an operation is held: it earns the budget for one.
    fileprivate static var patience: Nanoseconds { operationTime }

    init(capacity: Int) { held = FixedQueue(capacity: capacity) }

    var isHolding: Bool { !held.isEmpty }

    /// Called when a message is drained (`Operation.isMessage`).
    @inline(__always)
    mutating func noteMessage() {
        earned &+= Self.messageTime
        quietTurns = 0
    }

    /// Called after a sleep during which operations were held.
    fileprivate mutating func noteSleep(_ time: Nanoseconds) { earned &+= time }

    /// Holds an operation. False if it may start at once.
    @inline(__always)
    fileprivate mutating func hold(_ token: Token) -> Bool {
        guard quietTurns < Self.quietTurnsMax, !held.isFull else { return false }
        held.append(token)
        return true
    }

    @inline(__always)
    fileprivate mutating func popFirst() -> Token? { held.popFirst() }

    /// The number of held operations that this turn admits.
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
    /// Stages an operation, or holds it for a later turn.
    @inline(__always)
    mutating func stageInPace(_ slot: UnsafeMutablePointer<InFlightTable.Slot>, _ token: Token) {
        // Not with an exported descriptor: a caller that waits on it takes no turns.
        guard !isExported, !slot.pointee.operation.isWait, pace.hold(token) else {
            return engine.stage(&slot.pointee.operation, token)
        }
        table.setHeld(token, true)
    }

    /// Called at the start of a turn. `hasReady`: completions of the previous turn are still to be drained.
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
            engine.stage(&slot.pointee.operation, token)
            count += 1
        }
    }

    /// Waits for `count` completions; while operations are held, for one, and at most `Pace.patience`.
    @inline(__always)
    mutating func sleep(atLeast count: Int, until deadline: Nanoseconds) {
        let end = min(deadline, deadlines.earliest)
        guard pace.isHolding else { return engine.enter(atLeast: count, until: end) }
        let start = Kernel.now()
        engine.enter(atLeast: 1, until: min(end, start &+ Pace.patience))
        pace.noteSleep(Kernel.now() &- start)
    }
}
