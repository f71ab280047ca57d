/// Work for devices and workers beside what waits for others: the first is plenty and patient, the second a message that
/// somebody wants answered.
///
/// While something waits, everything else is held until the next turn, and a turn takes so much of it that the next look
/// at sockets is some 50 us away: `limit` operations if nothing that was waited for has come in the turn before, or one
/// for each `waitsAnOperation` that have. What is held is given first in, first out; every turn takes one at least.
/// A queue without waits holds nothing.
struct Pace: ~Copyable {
    /// In order. A token whose operation was cancelled meanwhile names nothing any more.
    fileprivate var held: FixedQueue<Token>
    private let capacity: Int
    /// Operations staged and not drained that wait for somebody else (`Operation.isWait`).
    private var waitsInFlight = 0
    /// Those that were drained since the last turn.
    private var waitsEnded = 0

    private static var limit: Int { 8 }
    private static var waitsAnOperation: Int { 8 }

    /// The longest sleep of a turn that leaves something held: what went before may be stuck.
    static var patience: Nanoseconds { 1_000_000 }

    init(capacity: Int) {
        held = FixedQueue(capacity: capacity)
        self.capacity = capacity
    }

    var isHolding: Bool { !held.isEmpty }
    fileprivate var holds: Bool { waitsInFlight > 0 && held.count < capacity }

    /// True if the operation is a wait; then `endedWait` is to follow.
    @inline(__always)
    mutating func begun(_ operation: Operation) -> Bool {
        guard operation.isWait else { return false }
        waitsInFlight += 1
        return true
    }

    @inline(__always)
    mutating func endedWait() {
        waitsInFlight -= 1
        waitsEnded += 1
    }

    /// How many operations this turn takes.
    fileprivate mutating func allowance() -> Int {
        defer { waitsEnded = 0 }
        guard waitsInFlight > 0 else { return capacity }
        return waitsEnded > 0 ? max(waitsEnded / Self.waitsAnOperation, 1) : Self.limit
    }
}

extension EngineQueue {
    /// Gives an operation to the engine, now or in a turn that has room for it.
    @inline(__always)
    mutating func stageInPace(_ operation: Operation, _ token: Token) {
        // Whoever waits for the exported descriptor alone takes no turns.
        guard pace.holds, !isExported, !table[token].pointee.isWait else { return engine.stage(operation, token) }
        table.setHeld(token, true)
        pace.held.append(token)
    }

    /// At the beginning of a turn.
    @inline(__always)
    mutating func stageHeld() {
        let allowance = pace.allowance()
        if pace.isHolding { stageHeld(atMost: allowance) }
    }

    mutating func stageHeld(atMost limit: Int) {
        var count = 0
        while count < limit, let token = pace.held.popFirst() {
            guard let slot = table.find(token), slot.pointee.state == .held else { continue }
            table.setHeld(token, false)
            slot.pointee.issuerChanges = issuerChanges
            engine.stage(slot.pointee.operation, token)
            count += 1
        }
    }

    /// Until when a turn may sleep.
    func sleepEnd(_ deadline: Nanoseconds) -> Nanoseconds {
        let end = min(deadline, deadlines.earliest)
        return pace.isHolding ? min(end, Kernel.now() &+ Pace.patience) : end
    }
}
