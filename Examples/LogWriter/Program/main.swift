// Writes lines from sockets to a file and acknowledges each line once it is durable: `log-writer FILE [ADDRESS]`, by
// default 127.0.0.1:7778. A client that reads "ok N" knows that its first N lines are durable, whatever happens to this
// program or the machine. SIGTERM and SIGINT end the program after it has written and acknowledged the lines received
// so far.
import AIO
import Glibc
import LogWriter

let complaints = StreamWriter.standardError()

do {
    let arguments = CommandLine.arguments.dropFirst()
    guard let file = arguments.first, arguments.count <= 2 else {
        throw IOError(.invalidArgument, "log-writer", advice: "give it FILE [ADDRESS]")
    }
    try await serve(Path(file), try SocketAddress(arguments.dropFirst().first ?? "127.0.0.1:7778"))
} catch {
    try? await complaints.writeAll("log-writer: \(error)\n")
    exit(1)
}

func serve(_ path: Path, _ address: SocketAddress) async throws {
    // Before anything else, so that no signal ends the program during the start.
    let signals = try Signals([.terminate, .interrupt])
    let service = try await LogService.open(path, on: address)
    try await StreamWriter.standardOutput().writeAll("listening on \(try service.address())\n")
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            // nil if the program ends without a signal.
            if try await signals.next() != nil { await service.end() }
        }
        do { try await service.run() } catch {
            try? await signals.close()
            throw error
        }
        try await signals.close()
        try await group.waitForAll()
    }
}
