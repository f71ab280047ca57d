import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Every line that the example has acknowledged is in its file, however it ends.
@Suite(.overSimulation, .notSimulated(.process), .timeLimit(.minutes(10))) struct LogWriterTests {
    /// An acknowledged line is written. The kills come at random moments, and each start continues after the kill
    /// before.
    @Test(arguments: engines)
    func aKillLosesNoLineThatWasAcknowledged(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            var random = SeededGenerator("kills of the log writer over \(engine)")
            var durable: Set<String> = []
            let address = "unix:\(scratch.path("socket"))"
            for round in 0..<8 {
                let writer = try LogWriter(engine, scratch.path("log"), address)
                let kill = Int.random(in: 1...400, using: &random)
                let acknowledged = Counter()
                try await withRuntime(.threads, { $0.log = { _ in } }) { runtime in
                    let clients = (0..<3).map { client in
                        Task {
                            try await talk(address, "round \(round) client \(client)", 10_000, runtime) {
                                acknowledged.increment()
                            }
                        }
                    }
                    try await eventually { acknowledged.count >= kill }
                    writer.signal(SIGKILL)
                    for client in clients { durable.formUnion(try await client.value) }
                }
                #expect(writer.wait() == SIGKILL)
                let lines = try logLines(scratch)
                #expect(
                    durable.isSubset(of: lines.whole), "lost: \(durable.subtracting(lines.whole).sorted().prefix(3))")
            }
            // The next start truncates the unfinished line.
            let last = try LogWriter(engine, scratch.path("log"), address)
            last.signal(SIGTERM)
            #expect(last.wait() == 0)
            let lines = try logLines(scratch)
            #expect(lines.rest == "" && durable.isSubset(of: lines.whole) && !durable.isEmpty)
        }
    }

    @Test(arguments: engines)
    func linesOfSeveralClientsAreWholeAndInTheirOrder(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let writer = try LogWriter(engine, scratch.path("log"), "127.0.0.1:0")
            try await withRuntime(.threads) { runtime in
                let clients = (0..<8).map { client in
                    Task { try await talk(writer.address, "client \(client)", 500, runtime) }
                }
                for client in clients {
                    let count = try await client.value.count
                    #expect(count == 500)
                }
            }
            writer.signal(SIGTERM)
            #expect(writer.wait() == 0)
            let content = String(decoding: try scratch.content("log"), as: UTF8.self)
            let all = content.split(separator: "\n")
            #expect(all.count == 8 * 500)
            for client in 0..<8 {
                let own = all.filter { $0.hasPrefix("client \(client) ") }
                #expect(own.map { $0.split(separator: " ")[3] } == (1...500).map { "\($0)" })
            }
        }
    }

    /// After SIGTERM the lines that a client has sent are written and acknowledged; then the connection ends.
    @Test(arguments: engines)
    func sigtermFinishesWhatIsUnderWay(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let writer = try LogWriter(engine, scratch.path("log"), "127.0.0.1:0")
            try await withRuntime(.threads) { runtime in
                let connection = try await Connection.connect(to: SocketAddress(writer.address), runtime: runtime)
                var answers = connection.lines().makeAsyncIterator()
                try await connection.writeAll("one\n")
                #expect(try await answers.next() == "ok 1")
                try await connection.writeAll("two\nthree\nunfinished")
                #expect(try await answers.next() == "ok 2")
                writer.signal(SIGTERM)
                #expect(try await answers.next() == "ok 3")
                // The unfinished line's bytes may be unread, which turns the close into a reset.
                do throws(IOError) {
                    let more = try await answers.next()
                    #expect(more == nil)
                } catch {
                    #expect(error.code == .connectionReset)
                }
                #expect(writer.wait() == 0)
                try await connection.close()
            }
            #expect(String(decoding: try scratch.content("log"), as: UTF8.self) == "one\ntwo\nthree\n")
        }
    }

    @Test(arguments: engines)
    func badInputGetsOneLineAndLeavesNothing(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            for arguments in [[], [scratch.path("none/log")], [scratch.path("log"), "nowhere"]] {
                let (status, output) = try LogWriter.run(engine, arguments)
                #expect(status == 1)
                #expect(output.hasPrefix("log-writer: ") && output.split(separator: "\n").count == 1, "\(output)")
            }
            let first = try LogWriter(engine, scratch.path("log"), "127.0.0.1:0")
            let (status, output) = try LogWriter.run(engine, [scratch.path("log"), "127.0.0.1:0"])
            #expect(status == 1 && output.contains("another log-writer has this file"), "\(output)")
            first.signal(SIGTERM)
            #expect(first.wait() == 0)
        }
    }
}

/// Sends numbered lines in batches, and returns those that were acknowledged before the connection ended.
private func talk(
    _ address: String, _ name: String, _ count: Int, _ runtime: IORuntime,
    _ acknowledged: @escaping @Sendable () -> Void = {}
) async throws -> [String] {
    let connection = try await Connection.connect(to: SocketAddress(address), runtime: runtime)
    let sending = Task {
        for first in stride(from: 1, through: count, by: 10) {
            try await connection.writeAll((first..<first + 10).map { "\(name) line \($0)\n" }.joined())
        }
        try connection.shutdownWrite()
    }
    var lines: [String] = []
    do throws(IOError) {
        for try await answer in connection.lines() {
            #expect(answer == "ok \(lines.count + 1)")
            lines.append("\(name) line \(lines.count + 1)")
            acknowledged()
        }
    } catch {
        #expect([.connectionReset, .brokenPipe].contains(error.code), "\(error)")
    }
    try await connection.close()
    _ = await sending.result
    return lines
}

private func logLines(_ scratch: Scratch) throws -> (whole: Set<String>, rest: String) {
    let pieces = String(decoding: try scratch.content("log"), as: UTF8.self)
        .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    return (Set(pieces.dropLast()), pieces.last ?? "")
}

/// The example program, listening.
private final class LogWriter: @unchecked Sendable {
    // @unchecked: all properties are constants.
    let address: String
    private let process: pid_t
    private let output: Int32

    init(_ engine: EngineKind, _ file: String, _ address: String) throws {
        (process, output) = try Self.start(engine, [file, address])
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while Glibc.read(output, &byte, 1) == 1, byte != 10 { line.append(byte) }
        let words = String(decoding: line, as: UTF8.self).split(separator: " ")
        try #require(words.count == 3 && words[0] == "listening", "it said: \(String(decoding: line, as: UTF8.self))")
        self.address = String(words[2])
    }

    deinit { closeDescriptor(output) }

    func signal(_ number: Int32) { kill(process, number) }

    /// The exit code, or the number of the signal that ended it.
    func wait() -> Int32 { Self.wait(for: process) }

    private static func wait(for process: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return status & 0x7f != 0 ? status & 0x7f : status >> 8
    }

    /// Runs the program to its end.
    static func run(_ engine: EngineKind, _ arguments: [String]) throws -> (Int32, String) {
        let (process, output) = try start(engine, arguments)
        defer { closeDescriptor(output) }
        let text = String(decoding: readToEnd(output), as: UTF8.self)
        return (wait(for: process), text)
    }

    private static func start(_ engine: EngineKind, _ arguments: [String]) throws -> (pid_t, Int32) {
        let program = try #require(
            programBesideTests("log-writer"), "log-writer is not built: swift build --build-tests")
        var ends = try Ends(.pipe, false)
        defer { ends.closeWriting() }
        let output = ends.reading
        let process = try startProgram(
            [program] + arguments, ["AIO_ENGINE=\(engine)"], output: ends.writing)
        return (process, output)
    }
}
