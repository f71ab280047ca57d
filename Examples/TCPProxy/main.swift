// Passes connections on to another address: `tcp-proxy LISTEN TARGET`, as in `tcp-proxy 127.0.0.1:8080 192.0.2.1:80`.
//
// Each direction ends by itself: when one side has written everything (a half-close), the other is told so, and may go
// on writing.
import AIO

guard CommandLine.arguments.count == 3 else { throw Usage() }

struct Usage: Error, CustomStringConvertible {
    var description: String { "usage: tcp-proxy LISTEN TARGET, each an address like 127.0.0.1:8080" }
}

let target = try SocketAddress(CommandLine.arguments[2])
var configuration = IORuntime.Configuration()
// Two operations a connection may wait.
configuration.queueDepth = 8192
let runtime = try IORuntime(configuration)
let listener = try await Listener.listen(on: try SocketAddress(CommandLine.arguments[1]), runtime: runtime)
print("passing", try listener.localAddress(), "on to", target)

await withDiscardingTaskGroup { group in
    do {
        for try await client in listener.connections {
            group.addTask { await serve(client, target, runtime) }
        }
    } catch {
        print(error)
    }
}

func serve(_ client: Connection, _ target: SocketAddress, _ runtime: IORuntime) async {
    do {
        let deadline = Deadline.after(.seconds(10))
        let server = try await Connection.connect(to: target, runtime: runtime, deadline: deadline)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pass(client, server) }
                group.addTask { try await pass(server, client) }
                // An error of one direction cancels the other.
                try await group.waitForAll()
            }
        } catch {
            print(error)
        }
        try await server.close()
    } catch {
        print(error)
    }
    try? await client.close()
}

func pass(_ from: Connection, _ to: Connection) async throws {
    // A writer that is held back reads nothing meanwhile: so each side goes as fast as the other takes it.
    while case let piece = try await from.read(), !piece.isEmpty { try await to.writeAll(piece) }
    try to.shutdownWrite()
}
