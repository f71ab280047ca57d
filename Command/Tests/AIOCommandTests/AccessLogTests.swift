import AIO
import Foundation
import Testing
import UnitSupport

@testable import AIOCommand

/// The access log at the end of the server: what was logged before is written, and nothing afterwards.
/// One after the other: a signal that ends one server would end those of the other cases as well.
@Suite(.serialized, .timeLimit(.minutes(10))) struct AccessLogTests {
    private func withRuntime(_ engine: EngineKind, _ body: (IORuntime) async throws -> Void) async throws {
        var configuration = IORuntime.Configuration()
        configuration.engine = .forced(engine)
        let runtime = try IORuntime(configuration)
        do { try await body(runtime) } catch {
            await runtime.shutdown(.cancel)
            throw error
        }
        await runtime.shutdown(.cancel)
    }

    /// The number of newlines among the bytes that are in a pipe now.
    private func takeLines(_ reading: Int32) -> Int {
        var (lines, room) = (0, [UInt8](repeating: 0, count: 65536))
        while case let count = read(reading, &room, room.count), count > 0 {
            lines += room[..<count].count { $0 == UInt8(ascii: "\n") }
        }
        return lines
    }

    private static func note(_ log: AccessLog) async { await log.note(nil, nil, .badRequest, 16, 1_700_000_000) }

    /// Connections that the server has given up can still log something.
    @Test(arguments: ServeProcess.engines)
    func nothingIsWrittenAfterTheEnd(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            for _ in 0..<100 {
                let pipe = DescriptorPair.pipe(nonBlocking: true)
                let writer = StreamWriter(adopting: dup(pipe.second), runtime: runtime)
                let log = AccessLog(to: writer)
                for _ in 0..<3 { await Self.note(log) }
                let late = (0..<4).map { _ in
                    Task(executorPreference: runtime.loops[0]) { for _ in 0..<20 { await Self.note(log) } }
                }
                log.beginStop()
                await log.finish(until: .after(.seconds(60)))
                let lines = takeLines(pipe.first)
                for task in late { await task.value }
                await Self.note(log)
                try await writer.close()
                #expect(lines >= 3 && takeLines(pipe.first) == 0)
            }
        }
    }

    /// A server in this process, with its log in a pipe. `body` makes it end. Returns the server's error.
    private func withServer(
        _ runtime: IORuntime, on address: SocketAddress, _ pipe: DescriptorPair,
        _ body: (_ listener: Listener) async throws -> Void
    ) async throws -> (any Error)? {
        let folder = TemporaryDirectory()
        let writer = StreamWriter(adopting: dup(pipe.second), runtime: runtime)
        let served = try await ServedFolder(Path(folder.path), runtime)
        let listener = try await Listener.listen(on: address, runtime: runtime)
        var limits = ServeLimits()
        (limits.connections, limits.headSize, limits.bodySize) = (10, 4096, 4096)
        (limits.headTime, limits.idleTime, limits.stallTime) = (.seconds(60), .seconds(60), .seconds(60))
        limits.shutdownTime = .seconds(60)
        let service = Service(served, limits, listsFolders: false, AccessLog(to: writer), runtime)
        let signals = try Signals([.windowChange], runtime: runtime)
        // On a loop: the clients block the thread that they are on.
        let running = Task(executorPreference: runtime.loops[0]) {
            try await Server(service, listener).run(until: signals)
        }
        try await body(listener)
        let result = await running.result
        try await served.file.close()
        try await writer.close()
        if case .failure(let error) = result { return error }
        return nil
    }

    @Test(arguments: ServeProcess.engines)
    func linesAreWrittenWhenAcceptingFails(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let pipe = DescriptorPair.pipe(nonBlocking: true)
            let (writing, reading) = (pipe.second, pipe.first)
            // Nothing can be written before the server ends.
            let filler = [UInt8](repeating: UInt8(ascii: "x"), count: 4096)
            while write(writing, filler, filler.count) > 0 {}
            var drain: TestThread?
            let error = try await withServer(runtime, on: .v4(.loopback, port: 0), pipe) { listener in
                let port = try #require(try listener.localAddress().port)
                let client = try HTTPClient(port: port)
                try client.send(HTTPClient.request("/missing", ["Connection: close"]))
                #expect(try client.readReply().status == 404)
                #expect(try client.readToEnd().isEmpty)
                drain = TestThread {
                    _ = eventually { HTTPClient.isRefused(at: port) }
                    var room = [UInt8](repeating: 0, count: 1 << 20)
                    _ = read(reading, &room, room.count)
                }
                // accept(2) fails with EINVAL from now on.
                #expect(shutdown(listener.descriptor.number, Int32(SHUT_RDWR)) == 0)
            }
            drain?.join()
            #expect(error is IOError && takeLines(reading) == 1)
        }
    }

    @Test(arguments: ServeProcess.engines)
    func aRequestThatCannotBeAnsweredIsLogged(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let pipe = DescriptorPair.pipe(nonBlocking: true)
            let folder = TemporaryDirectory()
            let path = folder.file("socket")
            let error = try await withServer(runtime, on: SocketAddress("unix:\(path)"), pipe) { _ in
                for request in ["nonsense\r\n\r\n", HTTPClient.request("/missing")] {
                    let client = try HTTPClient(path: path)
                    // The server's writes fail from now on.
                    shutdown(client.descriptor, Int32(SHUT_RD))
                    try client.send(request)
                    var entry = pollfd(fd: client.descriptor, events: 0, revents: 0)
                    #expect(poll(&entry, 1, 60_000) == 1 && entry.revents & Int16(POLLHUP) != 0)
                }
                kill(getpid(), SIGWINCH)
            }
            #expect(error == nil && takeLines(pipe.first) == 2)
        }
    }
}
