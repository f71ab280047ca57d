import AIOCore
import ArgumentParser

/// `aio bench pipe`: round trips over two pipes.
struct PipeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pipe",
        abstract: "Measure round trips over two pipes, side by side.",
        discussion: """
            One party sends, the other sends back what came, through two pipes: two threads that block in read and write; \
            plain epoll loops, one for both parties or one each; and this library's IOQueue and await, on one loop and on \
            two. The contestants take turns; rates and ratios are medians of the rounds, latencies those of all rounds' \
            messages. CPU time is this process's. Every byte that comes back is checked.
            """)

    @Option(help: ArgumentHelp("Bytes of a message.", valueName: "bytes"))
    var size = ByteCount(1)

    @OptionGroup var options: RoundTripOptions

    func validate() throws {
        guard (1...65536).contains(size.bytes) else { throw ValidationError("--size must be 1 byte to 64 KiB.") }
        try options.check()
    }

    func run() throws {
        Interruption.listen()
        try PipeBench(size: size.bytes, options: options).run()
    }
}
