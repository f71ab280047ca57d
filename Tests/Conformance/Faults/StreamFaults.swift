import AIO
import Glibc
import Testing

/// Connections, listeners, datagrams and pipes. What one side has not sent the other does not wait for, so an error
/// ends a scenario and never hangs it.
enum StreamFaults {
    private static let content = FileFaults.content

    /// Closes both, whatever happens; an error of `body` comes before one of a close.
    private static func closing<R>(
        _ closes: [() async throws -> Void], after body: () async throws -> R
    ) async throws -> R {
        var (result, failure): (R?, (any Error)?)
        do { result = try await body() } catch { failure = error }
        for close in closes { do { try await close() } catch { failure = failure ?? error } }
        if let failure { throw failure }
        return try #require(result)
    }

    /// Both sides of a connection over a listener, all of which are closed.
    private static func connected(
        _ listener: AIO.Listener, _ address: SocketAddress, _ runtime: IORuntime,
        _ body: (Connection, Connection) async throws -> Void
    ) async throws {
        try await closing([{ try await listener.close() }]) {
            let client = try await Connection.connect(to: address, runtime: runtime)
            try await closing([{ try await client.close() }]) {
                let server = try await listener.accept()
                try await closing([{ try await server.close() }]) { try await body(client, server) }
            }
        }
    }

    @Sendable private static func exchange(_ client: Connection, _ server: Connection) async throws {
        try await client.writeAll(content)
        #expect(try await server.readExactly(count: content.count) == content)
        try await server.writeAll(pieces: [Array(content[..<7]), Array(content[7...])])
        #expect(try await client.readExactly(count: content.count) == content)
        try client.shutdownWrite()
        #expect(try await server.readToEnd() == [])
    }

    private static let connections = [
        FaultScenario(
            name: "a connection",
            body: { _, runtime in
                let listener = try await AIO.Listener.listen(on: .v4(.loopback, port: 0), runtime: runtime)
                let address: SocketAddress
                do { address = try listener.localAddress() } catch {
                    try? await listener.close()
                    throw error
                }
                try await connected(listener, address, runtime) { client, server in
                    try client.setOption(.noDelay, to: true)
                    #expect(try client.option(.noDelay))
                    try await exchange(client, server)
                }
            }, uses: ["socket"], errorsName: .address),
        FaultScenario(
            name: "a connection through a path", prepare: staleSocket,
            body: { scratch, runtime in
                let address = SocketAddress.unix(Path(scratch.path("socket")))
                let listener = try await AIO.Listener.listen(on: address, replaceStale: true, runtime: runtime)
                try await connected(listener, address, runtime, exchange)
            },
            verify: { scratch, error in
                let left = try scratch.names()
                // What could not be removed stays, and so does the old one, if it was not replaced.
                #expect(left == [] || error != nil && left == ["socket"])
            }, uses: ["socket"], errorsName: .pathOrAddress),
        FaultScenario(
            name: "connections in a loop",
            body: { _, runtime in
                try await withListener(.v4, runtime) { listener, address in
                    let client = try await Connection.connect(to: address, runtime: runtime)
                    try await closing([{ try await client.close() }]) {
                        for try await server in listener.connections {
                            try await server.close()
                            break
                        }
                    }
                }
            }, uses: ["socket"], errorsName: .address),
        FaultScenario(
            name: "a connect to several addresses",
            body: { _, runtime in
                try await withListener(.v4, runtime) { listener, address in
                    let connection = try await Connection.connect(
                        toAnyOf: [address, address], attemptDelay: .seconds(3600), runtime: runtime)
                    try await connection.close()
                }
            }, uses: ["socket"], errorsName: .address),
    ]

    /// A socket on which nobody listens any more.
    @Sendable private static func staleSocket(_ scratch: Scratch) throws {
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        let path = Array(scratch.path("socket").utf8)
        try #require(path.count < 108)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path) }
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        try #require(socket >= 0)
        defer { closeDescriptor(socket) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let bound = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { Glibc.bind(socket, $0, size) }
        }
        try #require(bound == 0)
    }

    private static let others = [
        FaultScenario(
            name: "datagrams",
            body: { _, runtime in
                let one = try await DatagramSocket.bind(to: .v4(.loopback, port: 0), runtime: runtime)
                try await closing([{ try await one.close() }]) {
                    let address = try one.localAddress()
                    let other = try await DatagramSocket.connect(to: address, runtime: runtime)
                    try await closing([{ try await other.close() }]) {
                        try await other.send([1, 2, 3])
                        let (bytes, info) = try await one.receive()
                        #expect(bytes == [1, 2, 3])
                        let sender = try #require(info.sender)
                        try await one.send([4], to: sender)
                        #expect(try await other.receive().bytes == [4])
                    }
                }
            }, uses: ["socket"], errorsName: .address, takesShort: false),
        FaultScenario(
            name: "a pipe",
            body: { _, runtime in
                let (reader, writer) = try await Pipe.make(capacity: 65536, runtime: runtime)
                try await closing([{ try await reader.close() }]) {
                    try await closing([{ try await writer.close() }]) {
                        try await writer.writeAll(content)
                        #expect(try await reader.readExactly(count: content.count) == content)
                        try await writer.writeAll(pieces: [[1], [2, 3]])
                    }
                    #expect(try await reader.readToEnd() == [1, 2, 3])
                }
            }, uses: ["pipe"], errorsName: .nothing),
        FaultScenario(
            name: "buffered ends of a pair of sockets",
            body: { _, runtime in
                let (one, other) = try Connection.pair(runtime: runtime)
                try await closing([{ try await one.close() }, { try await other.close() }]) {
                    let writer = try BufferedWriter(one, bufferSize: 4096)
                    for line in 0..<1000 { try await writer.write("line \(line)\n") }
                    try await writer.flush()
                    try one.shutdownWrite()
                    var count = 0
                    for try await line in other.lines() {
                        #expect(line == "line \(count)")
                        count += 1
                    }
                    #expect(count == 1000)
                }
            }, uses: ["socket"], errorsName: .nothing),
        FaultScenario(
            name: "a file sent over a connection", prepare: { _ = try $0.file("file", content) },
            body: { scratch, runtime in
                let (one, other) = try Connection.pair(runtime: runtime)
                try await closing([{ try await one.close() }, { try await other.close() }]) {
                    try await withFile(Path(scratch.path("file")), runtime: runtime) { file in
                        var told: Int64 = 0
                        do {
                            let sent = try await file.send(to: one) { told = $0 }
                            #expect(sent == content.count && told == sent)
                        } catch {
                            // What was told to be sent has arrived.
                            try one.shutdownWrite()
                            #expect(try await other.readToEnd() == Array(content[..<Int(told)]))
                            throw error
                        }
                    }
                    try one.shutdownWrite()
                    #expect(try await other.readToEnd() == content)
                }
            }, uses: ["socket", "pipe"], errorsName: .nothing),
    ]

    static let all = connections + others
}
