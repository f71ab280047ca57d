import AIOCore
import ArgumentParser

/// A program that echoes in a separate process.
enum ServerProgram {
    /// A server built into this command.
    case own(EchoServerKind, connections: Int, disk: DiskLoad?)
    /// Another program, which is started with the address to listen on.
    case peer(path: String)

    /// The arguments for this command's `bench server`, which becomes the peer's program.
    var arguments: [String] {
        let parent = ["bench", "server", "--parent", "\(Kernel.processID())"]
        switch self {
        case .own(let kind, let connections, let disk):
            return parent + ["--connections", "\(connections)"] + (disk?.arguments ?? []) + ["\(kind)"]
        case .peer(let path): return parent + ["program", path]
        }
    }

    /// Finds an executable program by its path, or by its name in PATH.
    static func peer(named name: String) throws(Failure) -> ServerProgram {
        do throws(NotStarted) { return .peer(path: try ProgramFile.find(name).path) } catch {
            throw Failure("--peer \(error.message)")
        }
    }
}

/// A kind of server, as the command line spells it: `epoll`, `await:io_uring`, `queue:threads`.
enum EchoServerKind: ExpressibleByArgument, CustomStringConvertible, Equatable {
    /// epoll(7), recv(2) and send(2).
    case epoll
    /// The same loop, with disk reads by pread(2).
    case epollPread
    /// The same loop, with disk reads by io_submit(2).
    case epollLinuxAIO
    case queue(EngineKind)
    case await(EngineKind)
    /// Another program, named by the next argument.
    case program

    init?(argument: String) {
        let parts = argument.split(separator: ":", maxSplits: 1)
        let engine = parts.count == 2 ? EngineKind.allCases.first { "\($0.name)" == parts[1] } : nil
        switch (parts.first, engine) {
        case ("epoll", nil): self = .epoll
        case ("epoll-pread", nil): self = .epollPread
        case ("epoll-linux-aio", nil): self = .epollLinuxAIO
        case ("program", nil): self = .program
        case ("queue", let engine?): self = .queue(engine)
        case ("await", let engine?): self = .await(engine)
        default: return nil
        }
    }

    var description: String {
        switch self {
        case .epoll: "epoll"
        case .epollPread: "epoll-pread"
        case .epollLinuxAIO: "epoll-linux-aio"
        case .queue(let engine): "queue:\(engine.name)"
        case .await(let engine): "await:\(engine.name)"
        case .program: "program"
        }
    }
}
