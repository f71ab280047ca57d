import AIOCore
import ArgumentParser
import Glibc

/// `aio bench files`: compares every way of reading a file.
struct FilesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "files",
        abstract: "Measure different ways of reading a file, side by side.",
        discussion: """
            Without arguments: random reads of 4 KiB at queue depth 64 of a temporary file of 1 GiB, first cold (its \
            pages are dropped from the cache before each turn), then cached. The contestants take turns. Operations \
            per second are the median of the rounds; everything else covers all operations. Every byte that is read \
            is checked.

            The submitting call is pread, aio_read, io_submit or IOQueue.submit; for await it is the time from the \
            call until the task is suspended, or until its result if it is not. CPU time is that of this process \
            with all its threads, including the checks; the work of kernel threads is not in it. ops/s covers whole \
            turns, latency the operation alone.
            """)

    @OptionGroup var file: FileOptions
    @OptionGroup var load: LoadOptions
    @OptionGroup var contestants: ContestantOptions

    @Option(help: ArgumentHelp("Write all measurements to FILE, too.", valueName: "file"))
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
