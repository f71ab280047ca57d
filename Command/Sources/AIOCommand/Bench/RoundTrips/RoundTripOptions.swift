import AIOCore
import ArgumentParser

/// The options that all round-trip benches share.
struct RoundTripOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The length of one turn: seconds, or a number with a unit (500ms).", valueName: "time"))
    var duration = TimeSpan(milliseconds: 500)

    @Option(help: ArgumentHelp("Turns per contestant.", valueName: "count"))
    var rounds = 5

    @Option(
        help: ArgumentHelp(
            "Engines, separated by commas: io_uring, threads, linux-aio, readahead, or none (default: all).",
            valueName: "names"))
    var engines: String?

    @Option(help: ArgumentHelp("Write all measurements to FILE, too.", valueName: "file"))
    var json: String?

    /// For the headline of a report.
    var roundsText: String { "\(rounds) round\(rounds == 1 ? "" : "s") of \(duration.nanoseconds / 1_000_000) ms" }

    func check() throws {
        guard (1_000_000...3_600_000_000_000).contains(duration.nanoseconds) else {
            throw ValidationError("--duration must be 1 ms to 1 hour")
        }
        guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must be 1 to 1000") }
        _ = try NameList.parseEngines(engines)
    }
}
