package import AIO

/// A log, and the connections whose lines it keeps.
package struct LogService: Sendable {
    private let log: CommitLog
    private let listener: Listener
    private let clients = Clients()

    /// Opens or creates the log, and listens.
    package static func open(_ path: Path, on address: SocketAddress) async throws -> LogService {
        try await open(path, on: address, [])
    }

    package static func open(
        _ path: Path, on address: SocketAddress, _ shortcuts: Shortcuts
    ) async throws -> LogService {
        let log = try await CommitLog.open(path, shortcuts)
        do {
            return LogService(log: log, listener: try await Listener.listen(on: address, replaceStale: true))
        } catch {
            // Without lines to write, it closes the file.
            await log.close()
            try? await log.run()
            throw error
        }
    }

    /// Where clients connect to.
    package func address() throws -> SocketAddress { try listener.localAddress() }

    /// Serves until `end`, and throws what the log's file failed with.
    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do { try await log.run() } catch {
                    await end()
                    throw error
                }
            }
            try await serveAll()
            await log.close()
            try await group.waitForAll()
        }
    }

    /// Stops accepting; data that has arrived is still processed.
    package func end() async {
        try? await listener.close()
        await clients.endReading()
    }

    /// Returns when the listener is closed and every conversation has ended.
    private func serveAll() async throws {
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
}
