import AIO
import AIOSimulation
import LogWriter
import UnitSupport

/// Several lives of `log-writer`, which clients on another host send lines to. Each ends with a loss of power, at a
/// random system call or when the clients are done. After a failed sync the service starts once more in the same life,
/// as a program that is started again without a loss of power.
package struct WriterHistory: CrashHistory {
    private let shortcuts: Shortcuts
    /// How many lives; the last one only looks at what is there.
    private static let lifeCount = 4

    package init(_ shortcuts: Shortcuts = []) { self.shortcuts = shortcuts }

    static var mistakes: [(name: String, history: any CrashHistory)] {
        [
            ("noSync", WriterHistory(.noSync)), ("noDirectorySync", WriterHistory(.noDirectorySync)),
            ("failedSyncIgnored", WriterHistory(.failedSyncIgnored)),
            ("incompleteLineKept", WriterHistory(.incompleteLineKept)),
        ]
    }

    package func run(_ seed: UInt64, _ lives: inout Lives) async throws {
        var random = SplitMix(seed)
        let weather = Weather(seed)
        var lines = WrittenLines()
        for life in 1...Self.lifeCount {
            let isLast = life == Self.lifeCount
            let crash = SimulatedCrash(beforeCall: random.below(400) + 1, rules: weather.rules)
            let conditions = Lives.Conditions(
                seed: random.next(), crash: isLast ? nil : crash, faults: isLast ? [] : weather.faults)
            let record = WriterLife(lines, shortcuts, weather)
            try await lives.live("life \(life)", conditions) { simulation in
                try await record.live(simulation, isLast: isLast)
            }
            if let violation = record.violation { throw Violation("life \(life): \(violation)") }
            lives.add(checks: record.checkCount)
            lines = record.lines
        }
    }
}

/// What the clients of all lives have sent, and what was acknowledged to them.
struct WrittenLines: Sendable {
    struct Client: Sendable {
        var sent = 0
        var acknowledged = 0
    }

    var clients: [Client] = []

    /// A line tells its client and its number, and its length and its letters follow from both.
    static func line(_ client: Int, _ number: Int) -> String {
        let letter = UnicodeScalar(UInt8(97 + (client &* 7 &+ number &* 3) % 26))
        return "\(client) \(number) " + String(repeating: Character(letter), count: (number &* 131 &+ client) % 700)
    }

    /// What is wrong with the file's content; nil if nothing is. Lines that were not acknowledged may be damaged if
    /// `mayBeTorn`.
    func violation(in bytes: [UInt8], mayBeTorn: Bool) -> String? {
        var found = Array(repeating: 0, count: clients.count)
        let end = bytes.lastIndex(of: UInt8(ascii: "\n")) ?? 0
        for bytes in bytes[..<end].split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            let line = String(decoding: bytes, as: UTF8.self)
            let numbers = line.split(separator: " ", maxSplits: 2).prefix(2).compactMap { Int($0) }
            guard numbers.count == 2, clients.indices.contains(numbers[0]), line == Self.line(numbers[0], numbers[1])
            else {
                if mayBeTorn || bytes.isEmpty && end == 0 { continue }
                return "a line of \(bytes.count) bytes that no client sent: \(line.prefix(40))"
            }
            // A line that was not acknowledged may be missing before another that was not.
            if numbers[1] == found[numbers[0]] + 1 { found[numbers[0]] += 1 }
        }
        for (client, count) in found.enumerated() where count < clients[client].acknowledged {
            return "line \(count + 1) of client \(client) is lost: \(clients[client].acknowledged) were acknowledged"
        }
        return nil
    }
}

/// What one life of the service and its clients did and saw.
private final class WriterLife: @unchecked Sendable {
    // @unchecked: the simulation's thread uses it, and the history afterwards.
    private(set) var lines: WrittenLines
    private(set) var violation: String?
    private(set) var checkCount = 0
    private let shortcuts: Shortcuts
    private let weather: Weather

    init(_ lines: WrittenLines, _ shortcuts: Shortcuts, _ weather: Weather) {
        self.lines = lines
        self.shortcuts = shortcuts
        self.weather = weather
    }

    func live(_ simulation: Simulation, isLast: Bool) async throws {
        let clients = try simulation.addHost("clients")
        for _ in 0..<(isLast ? 1 : 2) {
            let service = try await LogService.open("/log", on: SocketAddress("0.0.0.0:7778"), shortcuts)
            try await check()
            if try await serve(service, simulation, clients, clientCount: isLast ? 0 : 3) { break }
        }
        if !isLast { simulation.crash(weather.rules) }
    }

    private func check() async throws {
        let bytes = try await FileSystem.readFile("/log")
        let mayBeTorn = weather.rules == .posix || !weather.faults.isEmpty
        violation = violation ?? lines.violation(in: bytes, mayBeTorn: mayBeTorn)
        checkCount += lines.clients.reduce(0) { $0 + $1.acknowledged }
    }

    /// Serves some clients to their end. False if the log failed.
    private func serve(
        _ service: LogService, _ simulation: Simulation, _ host: Simulation.Host, clientCount: Int
    ) async throws -> Bool {
        let serving = Task {
            do { try await service.run() } catch { return false }
            return true
        }
        let address = SocketAddress.v4(simulation.host.address, port: 7778)
        let first = lines.clients.count
        lines.clients += Array(repeating: WrittenLines.Client(), count: clientCount)
        try await host.run {
            await withTaskGroup(of: Void.self) { group in
                for client in first..<(first + clientCount) {
                    group.addTask { await self.talk(client, address, simulation) }
                }
            }
        }
        await service.end()
        return await serving.value
    }

    /// Sends bursts of lines, and waits for the answers to each.
    private func talk(_ client: Int, _ address: SocketAddress, _ simulation: Simulation) async {
        guard let connection = try? await Connection.connect(to: address) else { return }
        do {
            let reader = try BufferedReader(connection)
            for _ in 0..<simulation.random(in: 1..<6) {
                let first = lines.clients[client].sent + 1
                let last = lines.clients[client].sent + simulation.random(in: 1..<5)
                lines.clients[client].sent = last
                let text = (first...last).map { WrittenLines.line(client, $0) + "\n" }.joined()
                try await connection.writeAll(text)
                for number in first...last {
                    guard let answer = try await reader.read(until: 10, limit: 100) else { break }
                    guard answer == Array("ok \(number)\n".utf8) else {
                        violation = violation ?? "client \(client) got \(String(decoding: answer, as: UTF8.self))"
                        break
                    }
                    lines.clients[client].acknowledged = number
                }
            }
        } catch {
            // The service or the power ended.
        }
        try? await connection.close()
    }
}
