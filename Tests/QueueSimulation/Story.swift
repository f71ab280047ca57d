/// The last events of a run, as lines to read.
struct Story {
    private var lines: [String] = []

    mutating func add(_ step: Int, _ event: String) { lines.append("\(step)\t\(event)") }

    /// The last `count` lines.
    func tail(_ count: Int) -> String { lines.suffix(count).joined(separator: "\n") }
}

/// How often what a run is about has happened, so that nobody trusts a run in which it never did.
package struct Coverage {
    package var operations = 0
    package var messages = 0
    package var held = 0
    package var cancelled = 0
    package var deadlines = 0
    package var repeated = 0
    package var retried = 0
    package var dropped = 0
    package var pauses = 0
    package var attempts = 0
    package var refusedAtLimit = 0
    package var exported = 0
    package var lost = 0
    package var wakes = 0

    mutating func add(_ other: Coverage) {
        operations += other.operations
        messages += other.messages
        held += other.held
        cancelled += other.cancelled
        deadlines += other.deadlines
        repeated += other.repeated
        retried += other.retried
        dropped += other.dropped
        pauses += other.pauses
        attempts += other.attempts
        refusedAtLimit += other.refusedAtLimit
        exported += other.exported
        lost += other.lost
        wakes += other.wakes
    }

    /// By name.
    package var counts: [(String, Int)] {
        [
            ("operations", operations), ("messages", messages), ("held", held), ("cancelled", cancelled),
            ("deadlines", deadlines), ("repeated", repeated), ("retried", retried), ("dropped", dropped),
            ("pauses", pauses), ("attempts", attempts), ("refused at the limit", refusedAtLimit),
            ("exported", exported), ("lost rings", lost), ("wakes", wakes),
        ]
    }
}
