import AIO
import AIOCore
import Glibc

/// This library's `Listener` and `Connection`: one task per connection, on the runtime's loop.
final class AwaitEchoServer: Sendable {
    private let runtime: IORuntime
    private let disk: DiskReading?

    private static let bufferSize = 16384

    init(_ engine: EngineKind, connections: Int, _ disk: DiskReading?) throws {
        var configuration = IORuntime.Configuration()
        configuration.engine = .forced(engine)
        configuration.queueDepth = max(configuration.queueDepth, disk?.depth ?? 0)
        // Every waiting connection takes a slot; closing and new connections can overlap.
        configuration.waitingLimit = max(configuration.waitingLimit, 2 * connections + 64)
        runtime = try IORuntime(configuration)
        self.disk = disk
    }

    /// Runs until the process ends or an error occurs.
    func blockingRun() throws {
        try BlockingTask.run(on: runtime.loops[0]) { [self] in
            let file = try await disk?.openFile(runtime)
            try await withThrowingDiscardingTaskGroup { tasks in
                if let disk, let file {
                    for slot in 0..<disk.depth { tasks.addTask { try await disk.keepReading(file, slot) } }
                }
                tasks.addTask { try await self.serve() }
            }
        }
    }

    private func serve() async throws {
        let listener = try await Listener.listen(
            on: .v4(.loopback, port: 0), backlog: Int(Loopback.backlog), runtime: runtime)
        try Announcement.make(listener.descriptor.number)
        try await withThrowingDiscardingTaskGroup { connections in
            for try await connection in listener.connections {
                connections.addTask { await Self.echo(connection) }
            }
        }
    }

    private static func echo(_ connection: Connection) async {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferSize, alignment: 64)
        defer { buffer.deallocate() }
        do {
            try connection.setOption(.noDelay, to: true)
            while true {
                var bytes = buffer.mutableBytes
                let count = try await connection.read(into: &bytes)
                guard count > 0 else { break }
                try await connection.writeAll(buffer.bytes.extracting(first: count))
            }
        } catch {
            // The peer is gone; the client reports it.
        }
        try? await connection.close()
    }
}
