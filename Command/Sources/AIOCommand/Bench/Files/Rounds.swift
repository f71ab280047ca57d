import AIOCore

/// Runs the sections in rounds, in each of which every contestant takes one turn.
final class Rounds {
    private let plan: Plan
    private let file: TestFile
    private let shape: WorkloadShape
    private let content: FileContent
    private let generations: BlockGenerations?
    private let progress: ProgressBar
    /// Notes for the reader of the table.
    private(set) var notes: [String] = []

    /// Below `cachedShareMin` the file does not count as cached; below `cachedShareGood` the report has a note.
    private static let cachedShareMin = 0.98
    private static let cachedShareGood = 0.999

    init(plan: Plan, file: TestFile, shape: WorkloadShape, content: FileContent, progress: ProgressBar) {
        self.plan = plan
        self.file = file
        self.shape = shape
        self.content = content
        self.progress = progress
        generations = plan.writePercent > 0 ? BlockGenerations(blockCount: shape.blockCount) : nil
        if file.cachedBytes == nil {
            notes.append("before Linux 6.5 it is unknown whether the file's pages have left the page cache")
        }
    }

    func run(_ sections: [Section]) async throws {
        let turnCount = sections.reduce(0) { $0 + $1.rows.count } * plan.roundCount
        var done = 0
        for section in sections {
            rounds: for round in 0..<plan.roundCount {
                for index in section.rows.indices {
                    // Each round starts with another contestant, so that no contestant always follows the same one.
                    let row = section.rows[(index + round) % section.rows.count]
                    progress.show(
                        "\(section.cache), round \(round + 1) of \(plan.roundCount): \(row.contestant.name)",
                        share: Double(done) / Double(turnCount))
                    guard try await take(turnOf: row, section, round) else { break rounds }
                    done += 1
                }
            }
        }
    }

    /// Returns false if the section cannot be measured.
    private func take(turnOf row: Row, _ section: Section, _ round: Int) async throws -> Bool {
        guard try bringCache(to: section.cache) else { return false }
        let contestant = row.contestant
        do {
            try await contestant.open(file)
            try await measure(row, section, round)
        } catch {
            await contestant.close()
            // The signal may be the cause of the failure.
            try Interruption.check()
            throw Failure("\(contestant.name): \((error as? Failure)?.message ?? "\(error)")")
        }
        await contestant.close()
        try Interruption.check()
        return true
    }

    private func measure(_ row: Row, _ section: Section, _ round: Int) async throws {
        let recorder = Recorder()
        let workload = Workload(
            shape, round: round, repeats: section.cache == .cached, generations: generations)
        let processorStart = ProcessorTime.ofThisProcess()
        let start = Kernel.now()
        try await row.contestant.run(
            Turn(workload: workload, content: content, deadline: start + plan.turnLength), recorder)
        let elapsed = Kernel.now() &- start
        let totals = Row.TurnTotals(
            operationCount: recorder.operationCount, elapsedNs: elapsed,
            processorNs: ProcessorTime.ofThisProcess() &- processorStart)
        row.add(totals, recorder)
    }

    private func bringCache(to cache: Section.Cache) throws -> Bool {
        switch cache {
        case .cold:
            try file.dropFromCache()
            return true
        case .cached:
            let share = try file.bringIntoCache()
            if share >= Rounds.cachedShareGood { return true }
            let text = "the page cache holds only \(Int(share * 100)) % of the file (see --size)"
            if share < Rounds.cachedShareMin {
                notes.append("the cached section is missing or incomplete: \(text)")
                return false
            }
            if !notes.contains("cached: \(text)") { notes.append("cached: \(text)") }
            return true
        }
    }
}
