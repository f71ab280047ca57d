// Writes lines from sockets to a file and acknowledges each line once it is durable: `log-writer FILE [ADDRESS]`, by
// default 127.0.0.1:7778. A client that reads "ok N" knows that its first N lines are durable, whatever happens to this
// program or the machine. SIGTERM and SIGINT end the program after it has written and acknowledged the lines received
// so far.
import AIO
import Glibc

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
    let log = try await CommitLog.open(path)
    let listener = try await Listener.listen(on: address, replaceStale: true)
    try await StreamWriter.standardOutput().writeAll("listening on \(try listener.localAddress())\n")
    let clients = Clients()
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            do { try await log.run() } catch {
                await beginEnd(listener, clients)
                throw error
            }
        }
        group.addTask {
            // nil if the program ends without a signal.
            if try await signals.next() != nil { await beginEnd(listener, clients) }
        }
        try await serveAll(listener, clients, log)
        await log.close()
        try await signals.close()
        try await group.waitForAll()
    }
}

/// Returns when the listener is closed and every conversation has ended.
func serveAll(_ listener: Listener, _ clients: Clients, _ log: CommitLog) async throws {
    try await withThrowingDiscardingTaskGroup { group in
        for try await connection in listener.connections {
            await clients.add(connection)
            group.addTask {
                await converse(connection, log)
                await clients.remove(connection)
            }
            // At the limit, further clients wait in the listen backlog.
            await clients.waitForRoom()
        }
    }
}

/// Stops accepting; data that has arrived is still processed.
func beginEnd(_ listener: Listener, _ clients: Clients) async {
    try? await listener.close()
    await clients.endReading()
}
