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
    static var patience: Nanoseconds { operationTime }

    init(capacity: Int) { held = FixedQueue(capacity: capacity) }

    var isHolding: Bool { !held.isEmpty }

    /// Called when a message is drained (`Operation.isMessage`).
    @inline(__always)
    mutating func noteMessage() {
        earned &+= Self.messageTime
        quietTurns = 0
    }

    /// Called after a sleep during which operations were held.
    mutating func noteSleep(_ time: Nanoseconds) { earned &+= time }

    /// Holds an operation. False if it may start at once.
    @inline(__always)
    mutating func hold(_ token: Token) -> Bool {
        guard quietTurns < Self.quietTurnsMax, !held.isFull else { return false }
        held.append(token)
        return true
    }

    @inline(__always)
    mutating func popFirst() -> Token? { held.popFirst() }

    /// The number of held operations that this turn admits.
    mutating func allowance(hasReady: Bool) -> Int {
        assert(quietTurns <= Self.quietTurnsMax, "a turn was counted after holding has ended")
        guard quietTurns < Self.quietTurnsMax else { return .max }
        let share = Int(earned / Self.operationTime)
        earned %= Self.operationTime
        guard share == 0, !hasReady else { return share }
        defer { quietTurns += 1 }
        return quietTurns < Self.busyTurns ? 0 : Self.limit
    }
}
