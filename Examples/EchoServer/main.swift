// Sends received data back on every connection: `echo-server [ADDRESS]`, by default 127.0.0.1:7777.
import AIO
import Glibc

let output = StreamWriter.standardOutput()
let complaints = StreamWriter.standardError()

do {
    try await serve(try SocketAddress(CommandLine.arguments.dropFirst().first ?? "127.0.0.1:7777"))
} catch {
    try? await complaints.writeAll("echo-server: \(error)\n")
    exit(1)
}

func serve(_ address: SocketAddress) async throws {
    let listener = try await Listener.listen(on: address)
    try await output.writeAll("listening on \(try listener.localAddress())\n")
    try await withThrowingDiscardingTaskGroup { group in
        for try await connection in listener.connections {
            group.addTask { await echo(connection) }
        }
    }
}

func echo(_ connection: Connection) async {
    do {
        // An empty read means that the client has shut down its side.
        while case let piece = try await connection.read(), !piece.isEmpty {
            try await connection.writeAll(piece, deadline: .after(.seconds(30)))
        }
    } catch {
        try? await complaints.writeAll("echo-server: \(error)\n")
    }
    try? await connection.close()
}
