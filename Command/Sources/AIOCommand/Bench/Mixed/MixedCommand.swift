import AIOCore
import ArgumentParser

/// `aio bench mixed`: network connections and disk reads on one loop.
struct MixedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mixed",
        abstract: "Measure what cold disk reads on the same loop do to the latency of echoes.",
        discussion: """
            Each echo server takes its turns in pairs: without anything else to do, and with reads of 4 KiB in flight all the \
            time whose pages are not in the page cache. For comparison the same with a plain epoll loop that reads the disk \
            by pread (one read in each turn), and by Linux AIO (as many as complete are submitted again). The file is a \
            temporary one; every byte that comes from a connection or the disk is checked.

            With --rate the client begins so many round trips a second in all, instead of a new one as soon as the last one \
            has ended: their times are then what a server that is not busy takes.
            """)

    @Option(help: ArgumentHelp("Connections at once.", valueName: "count"))
    var connections = 16

    @Option(help: ArgumentHelp("Disk reads in flight.", valueName: "count"))
    var depth = 64

    @Option(help: ArgumentHelp("Bytes of the temporary file (default: 1 GiB).", valueName: "bytes"))
    var size = ByteCount(1 << 30)

    @Option(help: ArgumentHelp("Where the temporary file is made (default: here).", valueName: "directory"))
    var directory: String?

    @Flag(help: "Measure on ext4 on a loop device over memory: no disk's bursts. Needs root.")
    var memoryDevice = false

    @Option(help: ArgumentHelp("Round trips that are begun a second (default: as many as go).", valueName: "count"))
    var rate: Int?

    @OptionGroup var options: RoundTripOptions

    func validate() throws {
        func need(_ holds: Bool, _ message: String) throws { if !holds { throw ValidationError(message) } }
        try need((1...7000).contains(connections), "--connections must be 1 to 7000.")
        try need((1...8192).contains(depth), "--depth must be 1 to 8192.")
        try need(
            size.bytes >= 1 << 20 && size.bytes % 4096 == 0, "--size must be a multiple of 4096 bytes, 1 MiB or more.")
        try need(!memoryDevice || directory == nil, "--memory-device is its own directory.")
        try need((1...1_000_000).contains(rate ?? 1), "--rate must be 1 to 1000000.")
        try options.check()
    }

    func run() throws {
        Interruption.listen()
        try MixedBench(self).run()
    }
}
