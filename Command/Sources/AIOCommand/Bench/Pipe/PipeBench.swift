import AIOCore

/// Runs the contestants' turns and reports.
struct PipeBench {
    /// Bytes per message.
    let size: Int
    let options: RoundTripOptions

    func run() throws {
        if let path = options.json { try JSONFile.check(path) }
        let available = try AvailableEngines(try NameList.parseEngines(options.engines), queueDepth: 16)
        let messages = PipeMessages(size: size)
        let section = RoundTripSection(
            title: "\(ByteCount(size)) there and back",
            rows: contestants(available.kinds).map { contestant in
                RoundTripRow(contestant.name) { length in try take(contestant, messages, length) }
            })
        let load = MachineLoad()
        let rounds = RoundTripRounds(roundCount: options.rounds, turnLength: options.duration.nanoseconds)
        try rounds.run([section])
        let headline = "Round trips over two pipes, \(options.roundsText)"
        let report = RoundTripReport(headline, [section], load: load, notes: available.notes)
        try Console.write(report.table)
        if let path = options.json { try JSONFile.write(report, to: path) }
    }

    private func contestants(_ engines: [EngineKind]) -> [any PipeContestant] {
        [BlockingPipes(), EpollPipes(), EpollPipesTogether()]
            + engines.flatMap { engine -> [any PipeContestant] in
                [
                    QueuePipes(engine: engine, queueCount: 1), QueuePipes(engine: engine, queueCount: 2),
                    AwaitPipes(engine: engine, loopCount: 1), AwaitPipes(engine: engine, loopCount: 2),
                ]
            }
    }

    private func take(_ contestant: any PipeContestant, _ messages: PipeMessages, _ length: Nanoseconds) throws
        -> RoundTripTurn
    {
        let pipes = try PipePair(size: size, nonBlocking: contestant.isNonBlocking)
        let processorBefore = ProcessorTime.ofThisProcess()
        let start = Kernel.now()
        let times = try contestant.run(PipeTurn(pipes: pipes, messages: messages, deadline: start + length))
        return RoundTripTurn(
            elapsedNs: times.sum, processorNs: ProcessorTime.ofThisProcess() &- processorBefore, latency: times)
    }
}
