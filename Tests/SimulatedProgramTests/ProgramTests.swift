import AIO
import AIOSimulation
import Testing

typealias Arguments = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?

@_silgen_name("echo_server_main") private func echoServer(_ count: Int32, _ arguments: Arguments) -> Int32
@_silgen_name("tcp_proxy_main") private func proxy(_ count: Int32, _ arguments: Arguments) -> Int32
@_silgen_name("log_writer_main") private func logWriter(_ count: Int32, _ arguments: Arguments) -> Int32

/// The example programs in a simulation, from their main functions on, without a changed line.
@Suite(.serialized) struct ProgramTests {
    @Test(arguments: UInt64(1)...20) func theEchoServerAnswersOverAnyNetwork(seed: UInt64) async throws {
        let output = try await withSimulation(seed: seed) { simulation in
            let server = try simulation.addHost("server")
            server.begin(echoServer, arguments: ["echo-server", "0.0.0.0:7777"])
            simulation.setLink(simulation.host, server, latency: .milliseconds(40), loss: 0.05)
            try await Task.sleep(for: .milliseconds(1))
            let address = SocketAddress.v4(server.address, port: 7777)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in 0..<5 {
                    group.addTask {
                        let message = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* (client + 3)) }
                        let answer = try await Self.echo(message, address)
                        #expect(answer == message)
                    }
                }
                try await group.waitForAll()
            }
            return server.output
        }
        #expect(output == "listening on 0.0.0.0:7777\n")
    }

    private static func echo(_ message: [UInt8], _ address: SocketAddress) async throws -> [UInt8] {
        let connection = try await Connection.connect(to: address)
        async let written: Void = connection.writeAll(message)
        let answer = try await connection.readExactly(count: message.count)
        try await written
        try await connection.close()
        return answer
    }

    @Test(arguments: UInt64(1)...20) func theProxyPassesOn(seed: UInt64) async throws {
        try await withSimulation(seed: seed) { simulation in
            let (server, proxyHost) = (try simulation.addHost("server"), try simulation.addHost("proxy"))
            server.begin(echoServer, arguments: ["echo-server", "0.0.0.0:7777"])
            proxyHost.begin(proxy, arguments: ["tcp-proxy", "0.0.0.0:80", "\(server.address):7777"])
            try await Task.sleep(for: .milliseconds(1))
            let message = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            let answer = try await Self.echo(message, SocketAddress.v4(proxyHost.address, port: 80))
            #expect(answer == message)
        }
    }

    @Test(arguments: UInt64(1)...20) func theLogWriterKeepsWhatItAcknowledges(seed: UInt64) async throws {
        let record = Acknowledged()
        var options = SimulationOptions()
        options.crash = SimulatedCrash(beforeCall: Int(seed) * 37)
        let report = try await simulate(seed: seed, options: options) { simulation in
            simulation.host.begin(logWriter, arguments: ["log-writer", "/log", "0.0.0.0:7778"])
            let client = try simulation.addHost("client")
            try await client.run {
                try await Task.sleep(for: .milliseconds(10))
                let connection = try await Connection.connect(
                    to: SocketAddress.v4(simulation.host.address, port: 7778))
                let reader = try BufferedReader(connection)
                for number in 1...100 {
                    try await connection.writeAll("line \(number)\n")
                    guard try await reader.read(until: 10, limit: 100) == Array("ok \(number)\n".utf8) else { break }
                    record.count = number
                }
                try await connection.close()
            }
        }
        let count = record.count
        var again = SimulationOptions()
        again.disk = report.disk
        let text = try await withSimulation(seed: seed, options: again) { _ in
            do throws(IOError) { return try await FileSystem.readFile("/log") } catch {
                guard error.isNotFound, count == 0 else { throw error }
                return []
            }
        }
        let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
        #expect(lines.prefix(count) == ArraySlice((0..<count).map { "line \($0 + 1)" }), "\(count) acknowledged")
    }

    private final class Acknowledged: @unchecked Sendable {
        // @unchecked: the simulation's thread writes it, and the test reads it afterwards.
        var count = 0
    }
}
