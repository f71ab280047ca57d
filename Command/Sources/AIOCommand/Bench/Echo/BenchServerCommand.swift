import AIOCore
import ArgumentParser
import Glibc

/// `aio bench server`: a server that the benches start in a separate process. Hidden from the help.
struct BenchServerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server", abstract: "An echo server for the other benchmarks.", shouldDisplay: false)

    @Option var parent: Int32
    @Option var connections = 64
    @OptionGroup var disk: DiskLoadOptions
    @Argument var kind: EchoServerKind
    @Argument var program: String?

    func run() throws {
        Kernel.signalWhenParentEnds(SIGTERM)
        // The parent may have exited before the prctl(2) call.
        guard getppid() == parent else { return }
        do {
            try serve()
        } catch {
            // For the process that started this one: it reports the first line of the output.
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

    /// Replaces this process with the other program. Returns only if that fails.
    private func start() throws -> Failure {
        guard let program else { throw Failure("no program is given") }
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(program), strdup("127.0.0.1:0"), nil]
        execv(program, &arguments)
        return Failure("cannot be started", result: -Int(errno))
    }
}

/// The first line of a server's output: the address that it listens on.
enum Announcement {
    static func make(_ listener: Int32) throws(Failure) {
        try Console.write("listening on \(try LoopbackAddress(of: listener))\n")
    }
}
