import AIOCore
import ArgumentParser
import Glibc

/// `aio bench files`: compares every way of reading a file.
struct FilesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "files",
        abstract: "Measure every way of reading a file, side by side.",
        discussion: """
            Without arguments: 4 KiB random reads at depth 64 of a temporary file of 1 GiB, first cold (its pages are \
            dropped from the cache before each turn), then cached. The contestants take turns; the table has the \
            median of the rounds for operations a second, and all rounds' operations for everything else. Every byte \
            that is read is checked.

            The submitting call is pread, aio_read, io_submit, IOQueue.submit; for await it is the time from the call \
            until the task is suspended, or until its result if it was not. CPU time is this process's, with all its \
            threads, checking included; what kernel threads did for it is not in it. ops/s is of whole turns; latency \
            is the operation's alone.
            """)

    @OptionGroup var file: FileOptions
    @OptionGroup var load: LoadOptions
    @OptionGroup var contestants: ContestantOptions

    @Option(help: ArgumentHelp("Write all that was measured to FILE as well.", valueName: "file"))
    var json: String?

    func validate() throws {
        try file.check(load)
        try load.check()
        try contestants.check()
    }

    func run() async throws {
        Interruption.listen()
        try await Bench(plan()).run()
    }

    private func plan() throws -> Plan {
        Plan(
            source: file.source, blockSize: load.block.bytes, depth: load.depth, taskCount: load.tasks ?? load.depth,
            order: load.sequential ? .sequential : .random, writePercent: load.write, isDirect: load.direct,
            turnLength: load.duration.nanoseconds, roundCount: load.rounds, peers: try contestants.parsedPeers(),
            engines: try contestants.parsedEngines(), jsonPath: json)
    }
}
