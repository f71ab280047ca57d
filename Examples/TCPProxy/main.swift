// Forwards connections to another address: `tcp-proxy LISTEN TARGET`, for example `tcp-proxy 127.0.0.1:8080
// 192.0.2.1:80`.
//
// Each direction ends separately: after a half-close by one side, the other side receives the end of the stream and may
// continue to write.
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
                // An error in one direction ends the loop and thereby cancels the other direction.
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
    // Nothing is read while a write waits, so each side sends only as fast as the other receives.
    while case let piece = try await from.read(), !piece.isEmpty { try await to.writeAll(piece) }
    try to.shutdownWrite()
}
