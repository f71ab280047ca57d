// Passes connections on to another address: `tcp-proxy LISTEN TARGET`, as in `tcp-proxy 127.0.0.1:8080 192.0.2.1:80`.
//
// Each direction ends by itself: when one side has written everything (a half-close), the other is told so, and may go
// on writing.
import AIO
import Glibc

let complaints = StreamWriter.standardError()

guard CommandLine.arguments.count == 3 else {
    try? await complaints.writeAll("usage: tcp-proxy LISTEN TARGET, each an address like 127.0.0.1:8080\n")
    exit(2)
}
do {
    try await pass(from: try SocketAddress(CommandLine.arguments[1]), to: try SocketAddress(CommandLine.arguments[2]))
} catch {
    try? await complaints.writeAll("tcp-proxy: \(error)\n")
    exit(1)
}

func pass(from address: SocketAddress, to target: SocketAddress) async throws {
    let listener = try await Listener.listen(on: address)
    try await StreamWriter.standardOutput().writeAll("passing \(try listener.localAddress()) on to \(target)\n")
    try await withThrowingDiscardingTaskGroup { group in
        for try await client in listener.connections {
            group.addTask { await serve(client, target) }
        }
    }
}

func serve(_ client: Connection, _ target: SocketAddress) async {
    do {
        let deadline = Deadline.after(.seconds(10))
        let server = try await Connection.connect(to: target, deadline: deadline)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pass(client, server) }
                group.addTask { try await pass(server, client) }
                // An error of one direction ends the loop, and so cancels the other.
                for try await _ in group {}
            }
        } catch {
            try? await complaints.writeAll("tcp-proxy: \(error)\n")
        }
        try await server.close()
    } catch {
        try? await complaints.writeAll("tcp-proxy: \(error)\n")
    }
    try? await client.close()
}

func pass(_ from: Connection, _ to: Connection) async throws {
    // A writer that is held back reads nothing meanwhile: so each side goes as fast as the other takes it.
    while case let piece = try await from.read(), !piece.isEmpty { try await to.writeAll(piece) }
    try to.shutdownWrite()
}
