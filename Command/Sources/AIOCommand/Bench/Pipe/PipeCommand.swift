import AIOCore
import ArgumentParser

/// `aio bench pipe`: round trips over two pipes.
struct PipeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pipe",
        abstract: "Measure round trips over two pipes, side by side.",
        discussion: """
            One party sends, and the other sends back what it receives, through two pipes: two threads that block in \
            read and write; plain epoll loops, one for both parties or one each; and this library's IOQueue and \
            await, on one loop and on two. The contestants take turns. Rates and ratios are medians over the rounds; \
            latencies are those of all messages. CPU time is that of this process. Every byte that comes back is \
            checked.
            """)

    @Option(help: ArgumentHelp("The size of a message in bytes.", valueName: "bytes"))
    var size = ByteCount(1)

    @OptionGroup var options: RoundTripOptions

    func validate() throws {
        guard (1...65536).contains(size.bytes) else { throw ValidationError("--size must be 1 byte to 64 KiB") }
        try options.check()
    }

    func run() throws {
        Interruption.listen()
        try PipeBench(size: size.bytes, options: options).run()
    }
}
