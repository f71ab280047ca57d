import AIOCore
import ArgumentParser

/// `aio bench echo`: compares echo servers on loopback TCP.
struct EchoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo",
        abstract: "Measure echo servers on loopback TCP, side by side.",
        discussion: """
            Each server runs in a process of its own with one loop; the client, a plain epoll loop, is the same for all. On \
            each connection one message at a time is on its way. The servers take turns; rates and ratios are medians of the \
            rounds, latencies those of all rounds' messages. CPU time is the server's process's. The first server is a \
            plain epoll loop, in the same language as the others.

            A --peer is any program: it is started with the argument 127.0.0.1:0, says `listening on 127.0.0.1:PORT` in its \
            first line, and is ended by SIGTERM.
            """)

    @Option(help: ArgumentHelp("Connections at once, with commas.", valueName: "counts"))
    var connections = CountList([1, 64, 1000])

    @Option(help: ArgumentHelp("Another echo server's program; may be given again.", valueName: "program"))
    var peer: [String] = []

    @OptionGroup var load: EchoLoadOptions
    @OptionGroup var options: RoundTripOptions

    func validate() throws {
        guard connections.counts.allSatisfy({ (1...7000).contains($0) }) else {
            throw ValidationError("--connections must be 1 to 7000 each.")
        }
        try load.check()
        try options.check()
    }

    func run() throws {
        Interruption.listen()
        let peers = try peer.map {
            ($0.split(separator: "/").last.map(String.init) ?? $0, try ServerProgram.peer(named: $0))
        }
        try EchoBench(
            connections: connections.counts, size: load.size.bytes, peers: peers, options: options
        ).run()
    }
}
