extension Report {
    /// The report as text for a terminal, at most 120 columns wide.
    var table: String {
        var text = "\(headline)\n\(machine.line); times are microseconds\n"
        for section in sections { text += "\n" + section.table }
        if !notes.isEmpty { text += "\n" + notes.map { "note: \($0)\n" }.joined() }
        return text
    }

    private var headline: String {
        let what = load.writePercent == 0 ? "reads" : "operations (\(load.writePercent) % writes)"
        let how = load.direct ? "O_DIRECT" : "buffered"
        let place = device(file.device, file.fileSystem)
        return "\(ByteCount(load.blockSize)) \(load.order) \(how) \(what) at depth \(load.depth), "
            + "\(ByteCount(file.size)) on \(place), \(load.rounds) round\(load.rounds == 1 ? "" : "s") of \(load.turnNs / 1_000_000) ms"
    }

    private func device(_ device: String?, _ fileSystem: String) -> String {
        device.map { "\(fileSystem) on \($0) over memory" } ?? fileSystem
    }
}

extension Report.Section {
    var table: String {
        var table = TextTable()
        table.add(["", "", "vs", "latency", "", "", "", "submit", "submit", "CPU"])
        table.add([cache, "ops/s", "pread", "p50", "p99", "p99.9", "mean", "p99", "worst", "per op"])
        for line in lines { table.add(line.cells) }
        return table.text
    }
}

extension Report.Line {
    fileprivate var cells: [String] {
        [
            contestant, Figures.grouped(Int(operationsPerSecond)),
            ratioToPread.map(Figures.ratio) ?? "-",
            Figures.microseconds(latency.p50), Figures.microseconds(latency.p99), Figures.microseconds(latency.p999),
            Figures.microseconds(latency.mean), Figures.microseconds(submittingCall.p99),
            Figures.microseconds(submittingCall.worst), Figures.microseconds(processorNsPerOperation),
        ]
    }
}
