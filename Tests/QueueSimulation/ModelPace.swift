import AIOCore

/// What is promised about pacing: while messages come, disk work gets one operation for each 50 us spent on messages,
/// 3 us each, or asleep; so it takes a fifth of the time, and one is let in after 17 messages at the latest. The second
/// turn after the last message, and later ones, let in up to eight; 64 turns after it nothing is held any more.
struct ModelPace {
    private let held: UnsafeMutablePointer<Token>
    private let mask: Int
    private var head = 0
    private var tail = 0
    private(set) var earned: Nanoseconds = 0
    private var quietTurns = 64

    init(capacity: Int) {
        var size = 1
        while size < capacity { size *= 2 }
        mask = size - 1
        held = .allocate(capacity: size)
    }

    func free() { held.deallocate() }

    var isHolding: Bool { head != tail }
    /// Whether an operation that is staged now is held.
    var holds: Bool { quietTurns < 64 && tail - head <= mask }

    mutating func noteMessage() {
        earned += 3_000
        quietTurns = 0
    }

    mutating func noteSleep(_ time: Nanoseconds) { earned &+= time }

    mutating func append(_ token: Token) {
        (held + (tail & mask)).initialize(to: token)
        tail += 1
    }

    var first: Token? { isHolding ? held[head & mask] : nil }
    mutating func removeFirst() { head += 1 }

    /// How many a turn lets in.
    mutating func allowance(hasReady: Bool) -> Int {
        guard quietTurns < 64 else { return .max }
        let share = Int(earned / 50_000)
        earned %= 50_000
        if share > 0 || hasReady { return share }
        quietTurns += 1
        return quietTurns <= 2 ? 0 : 8
    }
}
