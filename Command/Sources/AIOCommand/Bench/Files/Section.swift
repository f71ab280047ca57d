/// A part of the table: all contestants under one state of the page cache.
struct Section {
    enum Cache: String { case cold, cached }

    let cache: Cache
    let rows: [Row]
}

/// A contestant's line in the table, accumulated over the rounds.
final class Row {
    /// The totals of one turn.
    struct TurnTotals {
        var operationCount: Int
        /// From just before the contestant's run to its return.
        var elapsedNs: UInt64
        /// User and system time of the process.
        var processorNs: UInt64

        var operationsPerSecond: Double { Double(operationCount) * 1e9 / Double(max(elapsedNs, 1)) }
    }

    let contestant: any Contestant
    private(set) var turns: [TurnTotals] = []
    /// The times of all turns.
    let times = Recorder()

    init(_ contestant: any Contestant) { self.contestant = contestant }

    func add(_ totals: TurnTotals, _ recorder: Recorder) {
        turns.append(totals)
        times.add(recorder)
    }

    /// The median over the turns.
    var operationsPerSecond: Double { Figures.median(turns.map(\.operationsPerSecond)) }

    /// Processor time of the process, including the checks.
    var processorNsPerOperation: Double {
        let operations = turns.reduce(0) { $0 + $1.operationCount }
        let time = turns.reduce(0) { $0 + $1.processorNs }
        return operations == 0 ? 0 : Double(time) / Double(operations)
    }
}
