import AIOCore

/// Runs the sections in rounds, in each of which every contestant takes one turn.
struct RoundTripRounds {
    let roundCount: Int
    /// Nanoseconds.
    let turnLength: Nanoseconds

    func run(_ sections: [RoundTripSection]) throws {
        let progress = ProgressBar()
        defer { progress.clear() }
        let turnCount = sections.reduce(0) { $0 + $1.rows.count } * roundCount
        var done = 0
        for section in sections {
            for round in 0..<roundCount {
                for index in section.rows.indices {
                    // Each round starts with another contestant, so that no contestant always follows the same one.
                    let row = section.rows[(index + round) % section.rows.count]
                    progress.show(
                        "\(section.title), round \(round + 1) of \(roundCount): \(row.name)",
                        share: Double(done) / Double(turnCount))
                    try take(row)
                    done += 1
                }
            }
        }
    }

    private func take(_ row: RoundTripRow) throws {
        do {
            try row.take(turnLength)
        } catch {
            // The signal may be the cause of the failure.
            try Interruption.check()
            throw Failure("\(row.name): \((error as? Failure)?.message ?? "\(error)")")
        }
        try Interruption.check()
    }
}
