/// A part of the table: the same contestants under one state of the page cache.
struct Section {
    enum Cache: String { case cold, cached }

    let cache: Cache
    let rows: [Row]
}

/// A contestant's line in the table, collected over the rounds.
final class Row {
    /// One turn's totals.
    struct TurnTotals {
        var operationCount: Int
        /// From the first submit to the last completion.
        var elapsedNs: UInt64
        /// User and system time of the process.
        var processorNs: UInt64

        var operationsPerSecond: Double { Double(operationCount) * 1e9 / Double(max(elapsedNs, 1)) }
    }

    let contestant: any Contestant
    private(set) var turns: [TurnTotals] = []
    /// All turns together.
    let times = Recorder()

    init(_ contestant: any Contestant) { self.contestant = contestant }

    func add(_ totals: TurnTotals, _ recorder: Recorder) {
        turns.append(totals)
        times.add(recorder)
    }

    /// The median of the turns.
    var operationsPerSecond: Double { Figures.median(turns.map(\.operationsPerSecond)) }

    /// Of the process, checking included.
    var processorNsPerOperation: Double {
        let operations = turns.reduce(0) { $0 + $1.operationCount }
        let time = turns.reduce(0) { $0 + $1.processorNs }
        return operations == 0 ? 0 : Double(time) / Double(operations)
    }
}
