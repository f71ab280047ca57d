import AIOCore
import ArgumentParser
import Glibc

/// `aio bench server`: a server that the benches start in a process of its own. Not for people.
struct BenchServerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server", abstract: "Echo what comes, for the other benches.", shouldDisplay: false)

    @Option var parent: Int32
    @Option var connections = 64
    @OptionGroup var disk: DiskLoadOptions
    @Argument var kind: EchoServerKind
    @Argument var program: String?

    func run() throws {
        Kernel.signalWhenParentEnds(SIGTERM)
        // It may have ended before that.
        guard getppid() == parent else { return }
        do {
            try serve()
        } catch {
            // To who started this, who has one line to say.
            try Console.write("\((error as? Failure)?.message ?? "\(error)")\n")
            throw ExitCode(1)
        }
    }

    private func serve() throws {
        let reading = try disk.reading()
        switch kind {
        case .program: throw try start()
        case .epoll: try EpollEchoServer(nil).run()
        case .epollPread: try EpollEchoServer(reading.map(PreadBeside.init)).run()
        case .epollLinuxAIO: try EpollEchoServer(reading.map(LinuxAIOBeside.init)).run()
        case .queue(let engine): try QueueEchoServer(engine, connections: connections, reading).run()
        case .await(let engine): try AwaitEchoServer(engine, connections: connections, reading).blockingRun()
        }
    }

    /// Becomes the other program; returns only if that fails.
    private func start() throws -> Failure {
        guard let program else { throw Failure("no program") }
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(program), strdup("127.0.0.1:0"), nil]
        execv(program, &arguments)
        return Failure("cannot be started", result: -Int(errno))
    }
}

/// Where a server says that it is there: the first line of its output.
enum Announcement {
    static func make(_ listener: Int32) throws(Failure) {
        try Console.write("listening on \(try LoopbackAddress(of: listener))\n")
    }
}
