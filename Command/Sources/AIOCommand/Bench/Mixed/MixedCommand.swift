import AIOCore
import ArgumentParser

/// `aio bench mixed`: network connections and disk reads on one loop.
struct MixedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mixed",
        abstract: "Measure the effect of cold disk reads on the latency of echoes on the same loop.",
        discussion: """
            Each echo server takes its turns in pairs: alone, and with reads of 4 KiB in flight all the time whose \
            pages are not in the page cache. For comparison, a plain epoll loop reads the disk by pread (one read \
            per turn of the loop), and by Linux AIO (each completed read is replaced by another). The file is a \
            temporary one. Every byte from a connection or the disk is checked.

            With --rate, the client starts so many round trips per second in total, instead of a new one as soon as \
            the previous one has ended: the latencies are then those of a server that is not saturated.
            """)

    @Option(help: ArgumentHelp("Concurrent connections.", valueName: "count"))
    var connections = 16

    @Option(help: ArgumentHelp("The queue depth: disk reads in flight.", valueName: "count"))
    var depth = 64

    @Option(help: ArgumentHelp("The size of the temporary file in bytes.", valueName: "bytes"))
    var size = ByteCount(1 << 30)

    @Option(
        help: ArgumentHelp(
            "The directory of the temporary file (default: the working directory).", valueName: "directory"))
    var directory: String?

    @Flag(help: "Measure on ext4 on a loop device over memory, without a disk's variance. Needs root.")
    var memoryDevice = false

    @Option(help: ArgumentHelp("Round trips started per second (default: no limit).", valueName: "count"))
    var rate: Int?

    @OptionGroup var options: RoundTripOptions

    func validate() throws {
        func need(_ holds: Bool, _ message: String) throws { if !holds { throw ValidationError(message) } }
        try need((1...7000).contains(connections), "--connections must be 1 to 7000")
        try need((1...8192).contains(depth), "--depth must be 1 to 8192")
        try need(
            size.bytes >= 1 << 20 && size.bytes % 4096 == 0, "--size must be a multiple of 4096 bytes, 1 MiB or more")
        try need(!memoryDevice || directory == nil, "--memory-device cannot be combined with --directory")
        try need((1...1_000_000).contains(rate ?? 1), "--rate must be 1 to 1000000")
        try options.check()
    }

    func run() throws {
        Interruption.listen()
        try MixedBench(self).run()
    }
}
