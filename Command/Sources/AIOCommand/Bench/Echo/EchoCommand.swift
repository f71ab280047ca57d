import AIOCore
import ArgumentParser

/// `aio bench echo`: compares echo servers on loopback TCP.
struct EchoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo",
        abstract: "Measure echo servers on loopback TCP, side by side.",
        discussion: """
            Each server runs in a process of its own with one loop. The client, a plain epoll loop, is the same for \
            all and has one message in flight on each connection. The servers take turns. Rates and ratios are \
            medians over the rounds; latencies are those of all messages. CPU time is that of the server's process. \
            The first server is a plain epoll loop, in the same language as the others.

            A --peer is any program that, started with the argument 127.0.0.1:0, prints `listening on \
            127.0.0.1:PORT` as its first line. It is stopped by SIGTERM.
            """)

    @Option(help: ArgumentHelp("Numbers of concurrent connections, separated by commas.", valueName: "counts"))
    var connections = CountList([1, 64, 1000])

    @Option(help: ArgumentHelp("The program of another echo server; may be repeated.", valueName: "program"))
    var peer: [String] = []

    @OptionGroup var load: EchoLoadOptions
    @OptionGroup var options: RoundTripOptions

    func validate() throws {
        guard connections.counts.allSatisfy({ (1...7000).contains($0) }) else {
            throw ValidationError("--connections: each number must be 1 to 7000")
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
