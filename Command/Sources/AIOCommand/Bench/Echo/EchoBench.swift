import AIOCore

/// Starts the servers, runs their turns, and reports.
struct EchoBench {
    let connections: [Int]
    /// Bytes per message.
    let size: Int
    let peers: [(name: String, program: ServerProgram)]
    let options: RoundTripOptions

    func run() throws {
        if let path = options.json { try JSONFile.check(path) }
        let most = connections.max() ?? 1
        try OpenFileLimit.raise(forConnections: 2 * most)
        let available = try AvailableEngines(try NameList.parseEngines(options.engines), queueDepth: 64)
        let servers = try start(available.kinds, connections: most)
        let sections = connections.map { count in
            let turn = EchoTurn(connections: count, size: size)
            return RoundTripSection(
                title: "\(Figures.grouped(count)) connection\(count == 1 ? "" : "s")",
                rows: servers.map { server in
                    RoundTripRow(server.name) { length in try turn.take(server.process, length) }
                })
        }
        let load = MachineLoad()
        let rounds = RoundTripRounds(roundCount: options.rounds, turnLength: options.duration.nanoseconds)
        try rounds.run(sections)
        let report = RoundTripReport(headline, sections, load: load, notes: available.notes)
        try Console.write(report.table)
        if let path = options.json { try JSONFile.write(report, to: path) }
    }

    private var headline: String {
        "Echo of \(ByteCount(size)) over loopback TCP, \(options.roundsText)"
    }

    private func start(_ engines: [EngineKind], connections: Int) throws -> [(name: String, process: ServerProcess)] {
        var programs: [(String, ServerProgram)] = [("epoll", .own(.epoll, connections: connections, disk: nil))]
        for engine in engines {
            programs.append(
                ("\(engine.name), IOQueue", .own(.queue(engine), connections: connections, disk: nil)))
            programs.append(("\(engine.name), await", .own(.await(engine), connections: connections, disk: nil)))
        }
        return try (programs + peers).map { name, program in
            do { return (name, try ServerProcess(program)) } catch let failure as Failure {
                throw Failure("\(name): \(failure.message)")
            }
        }
    }
}
