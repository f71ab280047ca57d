extension Report {
    init(
        plan: Plan, file: TestFile, device: String?, load machineLoad: MachineLoad, sections: [AIOCommand.Section],
        notes: [String]
    ) {
        machine = .current
        machine.note(machineLoad)
        self.file = File(name: file.name, size: file.size, fileSystem: file.fileSystem, device: device)
        load = Load(
            blockSize: plan.blockSize, depth: plan.depth, tasks: plan.taskCount, order: plan.order.rawValue,
            writePercent: plan.writePercent, direct: plan.isDirect, turnNs: plan.turnLength, rounds: plan.roundCount)
        self.sections = sections.compactMap(Section.init)
        self.notes = notes + machine.loadNotes
    }
}

extension Report.Section {
    /// nil if the section was not measured.
    init?(_ section: AIOCommand.Section) {
        let measured = section.rows.filter { !$0.turns.isEmpty }
        guard !measured.isEmpty else { return nil }
        cache = section.cache.rawValue
        let pread = measured.first { $0.contestant is Pread }?.operationsPerSecond
        lines = measured.map { Report.Line($0, pread: pread) }
    }
}

extension Report.Line {
    init(_ row: Row, pread: Double?) {
        contestant = row.contestant.name
        operations = row.times.operationCount
        operationsPerSecond = row.operationsPerSecond
        operationsPerSecondByRound = row.turns.map(\.operationsPerSecond)
        ratioToPread = pread.flatMap { $0 > 0 ? row.operationsPerSecond / $0 : nil }
        latency = Report.Times(row.times.latency)
        submittingCall = Report.Times(row.times.submitting)
        processorNsPerOperation = row.processorNsPerOperation
    }
}

extension Report.Times {
    init(_ times: Recorder.Times) {
        count = times.count
        mean = times.mean
        p50 = times.percentile(50)
        p90 = times.percentile(90)
        p99 = times.percentile(99)
        p999 = times.percentile(99.9)
        worst = times.worst
    }
}
