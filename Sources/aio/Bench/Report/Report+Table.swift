extension Report {
    /// The report for a terminal: at most 120 columns.
    var table: String {
        var text = "\(headline)\n\(machineLine)\n"
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

    private var machineLine: String {
        "Linux \(machine.kernel), \(machine.processorCount) x \(machine.processor); times are microseconds"
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
            contestant, Report.grouped(Int(operationsPerSecond)),
            ratioToPread.map { Report.decimal($0, $0 < 9.995 ? 2 : 1) + "x" } ?? "-",
            Report.microseconds(latency.p50), Report.microseconds(latency.p99), Report.microseconds(latency.p999),
            Report.microseconds(latency.mean), Report.microseconds(submittingCall.p99),
            Report.microseconds(submittingCall.worst), Report.microseconds(processorNsPerOperation),
        ]
    }
}

extension Report {
    /// Three significant digits below 100, whole microseconds above.
    fileprivate static func microseconds(_ nanoseconds: Double) -> String {
        let value = nanoseconds / 1000
        return value < 9.995 ? decimal(value, 2) : value < 99.95 ? decimal(value, 1) : grouped(Int(value.rounded()))
    }

    fileprivate static func microseconds(_ nanoseconds: UInt64) -> String { microseconds(Double(nanoseconds)) }

    fileprivate static func decimal(_ value: Double, _ digits: Int) -> String {
        let scale = digits == 1 ? 10 : 100
        let scaled = Int((value * Double(scale)).rounded())
        let fraction = String(scaled % scale)
        return "\(scaled / scale)." + String(repeating: "0", count: digits - fraction.count) + fraction
    }

    /// With commas between the thousands.
    fileprivate static func grouped(_ value: Int) -> String {
        var digits = String(value)
        var position = digits.count - 3
        while position > 0 {
            digits.insert(",", at: digits.index(digits.startIndex, offsetBy: position))
            position -= 3
        }
        return digits
    }
}
