// Sends back what comes, on every connection: `echo-server [ADDRESS]`, by default 127.0.0.1:7777.
import AIO

let address = try SocketAddress(CommandLine.arguments.dropFirst().first ?? "127.0.0.1:7777")

// A connection that waits takes a place among the operations in flight.
var configuration = IORuntime.Configuration()
configuration.queueDepth = 4096
let runtime = try IORuntime(configuration)

let listener = try await Listener.listen(on: address, runtime: runtime)
print("listening on", try listener.localAddress())

await withDiscardingTaskGroup { group in
    do {
        for try await connection in listener.connections {
            group.addTask { await echo(connection) }
        }
    } catch {
        print(error)
    }
}

func echo(_ connection: Connection) async {
    do {
        // Empty: the other side has written everything that it has to say.
        while case let piece = try await connection.read(), !piece.isEmpty {
            try await connection.writeAll(piece, deadline: .after(.seconds(30)))
        }
    } catch {
        print(error)
    }
    try? await connection.close()
}
