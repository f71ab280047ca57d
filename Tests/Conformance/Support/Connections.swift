import AIO
import CKernel
import Glibc
import Testing

extension SocketFamily {
    /// The loopback address with a port (or, for a Unix-domain socket, an abstract name) that the kernel chooses.
    var anyAddress: SocketAddress {
        switch self {
        case .v4: .v4(.loopback, port: 0)
        case .v6: .v6(.loopback, port: 0)
        case .unix: .unnamed
        }
    }
}

/// Runs `body` with a listener of the library, which is closed afterwards; `body` may close it before.
func withListener<R>(
    _ family: SocketFamily = .v4, _ runtime: IORuntime, backlog: Int = 1024,
    _ body: (AIO.Listener, SocketAddress) async throws -> R
) async throws -> R {
    let listener = try await AIO.Listener.listen(on: family.anyAddress, backlog: backlog, runtime: runtime)
    let result: R
    do {
        result = try await body(listener, try listener.localAddress())
    } catch {
        try? await listener.close()
        throw error
    }
    try? await listener.close()
    return result
}

/// Runs `body` with both sides of a connection, which are closed afterwards; `body` may close them before.
func withConnections<R>(
    _ family: SocketFamily = .v4, _ runtime: IORuntime, _ body: (Connection, Connection) async throws -> R
) async throws -> R {
    try await withListener(family, runtime) { listener, address in
        let client = try await Connection.connect(to: address, runtime: runtime)
        let server: Connection
        do { server = try await listener.accept() } catch {
            try? await client.close()
            throw error
        }
        let result: R
        do { result = try await body(client, server) } catch {
            try? await client.close()
            try? await server.close()
            throw error
        }
        try? await client.close()
        try? await server.close()
        return result
    }
}

/// Writes until the kernel's buffers are full. Returns the number of bytes.
func fillUp(_ connection: Connection) -> Int {
    let chunk = [UInt8](repeating: 7, count: 65536)
    var total = 0
    while case let count = Glibc.send(connection.descriptor.number, chunk, chunk.count, CK_MSG_DONTWAIT),
        count > 0
    {
        total += count
    }
    return total
}
