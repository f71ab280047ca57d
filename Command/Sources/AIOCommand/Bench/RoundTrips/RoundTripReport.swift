/// The report of a round-trip bench, as in the JSON file. Times are in nanoseconds, sizes in bytes.
struct RoundTripReport: Codable {
    struct Line: Codable {
        var contestant: String
        /// The median of `roundTripsPerSecondByRound`.
        var roundTripsPerSecond: Double
        var roundTripsPerSecondByRound: [Double]
        /// Relative to the section's first line: the median of the rounds' ratios.
        var ratioToFirst: Double
        var latency: Report.Times
        var processorNsPerRoundTrip: Double
        var readsPerSecond: Double
    }

    struct Section: Codable {
        var title: String
        var lines: [Line]
    }

    var headline: String
    var machine: Report.Machine
    var sections: [Section]
    var notes: [String]

    init(_ headline: String, _ sections: [RoundTripSection], load: MachineLoad, notes: [String]) {
        self.headline = headline
        machine = .current
        machine.note(load)
        self.sections = sections.map(Section.init)
        self.notes = notes + machine.loadNotes
    }

    /// The text above and below the tables.
    var head: String { "\(headline)\n\(machine.line); times are microseconds\n" }
    var foot: String { notes.isEmpty ? "" : "\n" + notes.map { "note: \($0)\n" }.joined() }

    /// The report as text for a terminal, at most 120 columns wide.
    var table: String { head + sections.map { "\n" + $0.table }.joined() + foot }
}

extension RoundTripReport.Section {
    init(_ section: RoundTripSection) {
        title = section.title
        lines = section.rows.map { RoundTripReport.Line($0, first: section.rows[0]) }
    }

    fileprivate var table: String {
        var table = TextTable()
        table.add(["", "round", "vs", "latency", "", "", "", "CPU per"])
        table.add([title, "trips/s", "first", "p50", "p99", "p99.9", "mean", "round trip"])
        for line in lines { table.add(line.cells) }
        return table.text
    }
}

extension RoundTripReport.Line {
    init(_ row: RoundTripRow, first: RoundTripRow) {
        contestant = row.name
        roundTripsPerSecond = row.roundTripsPerSecond
        roundTripsPerSecondByRound = row.turns.map(\.roundTripsPerSecond)
        ratioToFirst = row.ratio(to: first, \.roundTripsPerSecond)
        latency = Report.Times(row.latency)
        processorNsPerRoundTrip = row.processorNsPerRoundTrip
        readsPerSecond = row.readsPerSecond
    }

    fileprivate var cells: [String] {
        [
            contestant, Figures.grouped(Int(roundTripsPerSecond)), Figures.ratio(ratioToFirst),
            Figures.microseconds(latency.p50), Figures.microseconds(latency.p99), Figures.microseconds(latency.p999),
            Figures.microseconds(latency.mean), Figures.microseconds(processorNsPerRoundTrip),
        ]
    }
}
