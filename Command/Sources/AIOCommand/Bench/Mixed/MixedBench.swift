import AIOCore
import CKernel

/// Creates the file, runs servers with and without disk reads in turns, and reports.
struct MixedBench {
    private let command: MixedCommand
    private let options: RoundTripOptions

    /// A contestant without and with disk reads.
    private struct Pair {
        let alone: RoundTripRow
        let withReads: RoundTripRow
    }

    init(_ command: MixedCommand) {
        self.command = command
        options = command.options
    }

    func run() throws {
        if let path = options.json { try JSONFile.check(path) }
        try OpenFileLimit.raise(forConnections: 2 * command.connections)
        let available = try AvailableEngines(try NameList.parseEngines(options.engines), queueDepth: 64)
        let device = command.memoryDevice ? try MemoryDevice(size: command.size.bytes) : nil
        let pattern = Pattern()
        let file = try makeFile(pattern, device)
        let counter = try SharedCounter()
        let pairs = programs(available.kinds).map { pair($0, $1, file, pattern, counter) }
        let load = MachineLoad()
        let section = RoundTripSection(title: "mixed", rows: pairs.flatMap { [$0.alone, $0.withReads] })
        let rounds = RoundTripRounds(roundCount: options.rounds, turnLength: options.duration.nanoseconds)
        try rounds.run([section])
        let report = RoundTripReport(headline(file, device), [section], load: load, notes: available.notes)
        try Console.write(report.head + "\n" + table(pairs) + report.foot)
        if let path = options.json { try JSONFile.write(report, to: path) }
    }

    private func programs(_ engines: [EngineKind]) -> [(String, EchoServerKind)] {
        [("epoll, pread", .epollPread), ("epoll, Linux AIO", .epollLinuxAIO)]
            + engines.flatMap { [("\($0.name), IOQueue", .queue($0)), ("\($0.name), await", .await($0))] }
    }

    private func makeFile(_ pattern: Pattern, _ device: MemoryDevice?) throws -> TestFile {
        let progress = ProgressBar()
        defer { progress.clear() }
        if let device {
            return try TestFile.create(
                in: device.root, directoryName: "the memory device", size: command.size.bytes, order: .random,
                pattern: pattern, progress: progress)
        }
        let name = command.directory ?? "."
        let directory = try OpenDescriptor(name, CK_O_RDONLY | CK_O_DIRECTORY)
        return try TestFile.create(
            in: directory, directoryName: name == "." ? "the working directory" : name.quoted, size: command.size.bytes,
            order: .random, pattern: pattern, progress: progress)
    }

    private func pair(
        _ name: String, _ kind: EchoServerKind, _ file: TestFile, _ pattern: Pattern, _ counter: SharedCounter
    ) -> Pair {
        let turn = EchoTurn(connections: command.connections, size: 64, rate: command.rate)
        var round = 0
        let alone = RoundTripRow(name) { length in
            let server = try ServerProcess(.own(kind, connections: command.connections, disk: nil))
            return try turn.take(server, length)
        }
        let withReads = RoundTripRow("\(name), with reads") { length in
            try file.dropFromCache()
            round += 1
            let disk = DiskLoad(depth: command.depth, fileSize: file.size, seed: pattern.seed, round: round)
            let server = try ServerProcess(
                .own(kind, connections: command.connections, disk: disk),
                inherited: [file.descriptor.number, counter.file.number])
            return try turn.take(server, length, reads: counter)
        }
        return Pair(alone: alone, withReads: withReads)
    }

    private func headline(_ file: TestFile, _ device: MemoryDevice?) -> String {
        let place = device.map { "\(file.fileSystem) on \($0.device) over memory" } ?? file.fileSystem
        let pace = command.rate.map { "\(Figures.grouped($0)) per second" } ?? "no limit"
        return
            "Echoes on \(command.connections) connections (\(pace)), with and without \(command.depth) cold reads of "
            + "4 KiB in flight (\(ByteCount(file.size)) on \(place)), \(options.roundsText)"
    }

    private func table(_ pairs: [Pair]) -> String {
        var table = TextTable()
        table.add(["", "without reads", "", "", "with reads", "", "", "", "p99", "p50"])
        table.add([
            "", "round trips/s", "p50", "p99", "round trips/s", "p50", "p99", "reads/s", "with/without", "with/without",
        ])
        for pair in pairs {
            table.add(
                [pair.alone.name] + Self.cells(pair.alone) + Self.cells(pair.withReads)
                    + [
                        Figures.grouped(Int(pair.withReads.readsPerSecond)), Self.ratio(pair, 99), Self.ratio(pair, 50),
                    ])
        }
        return table.text
    }

    private static func cells(_ row: RoundTripRow) -> [String] {
        [
            Figures.grouped(Int(row.roundTripsPerSecond)), Figures.microseconds(row.percentile(50)),
            Figures.microseconds(row.percentile(99)),
        ]
    }

    /// The median of the rounds' ratios.
    private static func ratio(_ pair: Pair, _ percent: Double) -> String {
        Figures.ratio(pair.withReads.ratio(to: pair.alone) { Double($0.latency.percentile(percent)) })
    }
}
