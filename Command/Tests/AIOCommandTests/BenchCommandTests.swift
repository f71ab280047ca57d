import Foundation
import Testing
import UnitSupport

/// `aio bench` and its subcommands, run as programs. What they measure is nobody's promise here; what they say is.
@Suite(.timeLimit(.minutes(10)), .serialized) struct BenchCommandTests {
    private static let short = ["--duration", "20ms", "--rounds", "1"]

    @Test(arguments: [[], ["files"]])
    func withoutANameFilesAreMeasured(_ name: [String]) throws {
        let run = try BenchRun(name + Self.short + ["--size", "1M", "--engines", "threads", "--peers", "pread"])
        #expect(run.status == 0 && run.errors == "", "\(run.errors)")
        #expect(run.lines.contains { $0.hasPrefix("cold") } && run.lines.contains { $0.hasPrefix("cached") })
        #expect(run.lines.contains { $0.hasPrefix("threads, await (64 tasks)") })
        #expect(run.left == [])
    }

    @Test(arguments: [
        ["pipe", "--size", "0"], ["pipe", "--size", "65537"], ["pipe", "--engines", "nothing"],
        ["pipe", "--rounds", "0"], ["pipe", "--duration", "0"], ["echo", "--connections", "0"],
        ["echo", "--connections", "1,x"], ["echo", "--connections", "7001"], ["echo", "--size", "0"],
        ["echo", "--size", "2M"], ["mixed", "--connections", "0"], ["mixed", "--depth", "0"],
        ["mixed", "--rate", "0"], ["mixed", "--size", "5000"], ["mixed", "--memory-device", "--directory", "."],
        ["files", "--block", "1"], ["--block", "1"], ["nothing"],
    ])
    func whatMakesNoSenseIsRefusedWithALine(_ arguments: [String]) throws {
        let run = try BenchRun(arguments)
        #expect(run.status == 2 && run.output == "" && run.left == [])
        #expect(run.complaints.count == 1 && run.errors.hasPrefix("aio: "), "\(run.errors)")
        let bench = ["pipe", "echo", "mixed"].contains(arguments[0]) ? arguments[0] : "files"
        #expect(run.errors.contains("(see aio bench \(bench) --help)"), "\(run.errors)")
    }

    @Test(arguments: [
        (["echo", "--peer", "/no/such/program"], "No such file"), (["echo", "--peer", "no-such-program"], "in PATH"),
        (["echo", "--peer", "/etc/passwd"], "is not a program"), (["echo", "--peer", "/"], "is not a program"),
        (["echo", "--peer", "true"], "did not say where it listens"),
        (["echo", "--peer", "echo"], "said `127.0.0.1:0`"),
        (["echo", "--json", "/no/such/file"], "No such file"), (["pipe", "--json", "/"], "is a directory"),
        (["mixed", "--directory", "/no/such/folder"], "No such file"),
    ])
    func whatCannotBeDoneIsSaidInALine(_ arguments: [String], _ reason: String) throws {
        let run = try BenchRun(arguments + Self.short + ["--engines", "none"])
        #expect(run.status == 1 && run.output == "" && run.left == [])
        #expect(run.complaints.count == 1 && run.errors.contains(reason), "\(run.errors)")
    }

    @Test func pipesAreMeasuredOnOneLoopAndOnTwo() throws {
        for size in ["1", "65536"] {
            let run = try BenchRun.measuring(["pipe", "--size", size, "--engines", "threads,readahead"])
            #expect(run.status == 0 && run.errors == "", "\(run.errors)")
            let names = ["threads", "readahead"].flatMap { engine in
                ["IOQueue", "await"].flatMap { ["\(engine), \($0), 1 loop", "\(engine), \($0), 2 loops"] }
            }
            for name in ["read/write, 2 threads", "epoll, 2 loops", "epoll, 1 loop"] + names {
                #expect(run.lines.filter { $0.hasPrefix("\(name)  ") }.count == 1, "\(name) in \(run.output)")
            }
        }
    }

    @Test func serversAndPeersTakeTurnsAndTheFileHasTheSame() throws {
        var file = Data()
        let peer = BenchRun.program("echo-peer").path
        let run = try BenchRun.measuring(
            ["echo", "--connections", "1,20", "--size", "100000", "--engines", "threads", "--peer", peer]
                + ["--json", "result"]
        ) { file = try Data(contentsOf: URL(filePath: "\($0)/result")) }
        #expect(run.status == 0 && run.errors == "" && run.left == ["result"], "\(run.errors)")
        let report = try #require(try JSONSerialization.jsonObject(with: file) as? [String: Any])
        let sections = try #require(report["sections"] as? [[String: Any]])
        #expect(sections.map { $0["title"] as? String } == ["1 connection", "20 connections"])
        for section in sections {
            let lines = try #require(section["lines"] as? [[String: Any]])
            let names = lines.compactMap { $0["contestant"] as? String }
            #expect(names == ["epoll", "threads, IOQueue", "threads, await", "echo-peer"])
            #expect(lines.allSatisfy { ($0["roundTripsPerSecond"] as? Double ?? 0) > 0 })
            for name in names { #expect(run.lines.contains { $0.hasPrefix("\(name)  ") }) }
        }
    }

    @Test func echoesAreMeasuredWithReadsAndWithout() throws {
        for rate in [[], ["--rate", "1000"]] {
            let run = try BenchRun.measuring(
                ["mixed", "--size", "256M", "--engines", "threads"] + rate,
                isMeasured: { run in
                    // A disk that others keep busy may answer nobody for the length of a short turn.
                    Self.readCounts(run.lines).allSatisfy { $0 != "0" }
                })
            #expect(run.status == 0 && run.errors == "" && run.left == [], "\(run.errors)")
            let counts = Self.readCounts(run.lines)
            #expect(counts.count == 4 && counts.allSatisfy { $0 != "0" }, "reads a second in \(run.lines)")
        }
    }

    /// Reads a second in each contestant's line, of those that have one.
    private static func readCounts(_ lines: [String]) -> [Substring] {
        ["epoll, pread", "epoll, Linux AIO", "threads, IOQueue", "threads, await"].compactMap { name in
            let cells = lines.first { $0.hasPrefix("\(name)  ") }?.dropFirst(name.count).split(separator: " ")
            return cells?.count == 9 ? cells?[6] : nil
        }
    }

    /// It is found out in the server's process.
    @Test func aFileThatIsReadBeforeTheTurnIsOverIsToldInALine() throws {
        let run = try BenchRun(
            ["mixed", "--size", "1M", "--duration", "5", "--rounds", "1", "--engines", "none"])
        #expect(run.status == 1 && run.output == "" && run.left == [])
        #expect(run.complaints.count == 1 && run.errors.contains("give a larger --size"), "\(run.errors)")
    }

    @Test func withoutRoomForTheConnectionsTheLimitIsNamed() throws {
        // Root raises its limits as it likes.
        let wrapper =
            ["sh", "-c", "ulimit -n 200; exec \"$@\"", "sh"]
            + (geteuid() == 0 ? ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all"] : [])
        let probe = try BenchRun(["--help"], wrapper: wrapper)
        guard probe.status == 0 else { try Test.cancel("\(skipped("no setpriv, or no way to the program"))") }
        let run = try BenchRun(["echo", "--connections", "1000"] + Self.short, wrapper: wrapper)
        #expect(run.status == 1 && run.output == "")
        #expect(run.complaints.count == 1 && run.errors.contains("RLIMIT_NOFILE allows 200"), "\(run.errors)")
    }

    /// However it ends.
    @Test(arguments: [SIGINT, SIGKILL])
    func noServerOutlivesTheBench(_ signal: Int32) throws {
        let folder = TemporaryDirectory()
        let process = BenchRun.process(
            ["echo", "--connections", "4", "--engines", "threads", "--duration", "600"], in: folder.path)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        let parent = process.processIdentifier
        #expect(eventually { BenchRun.servers(of: parent).count >= 3 })
        kill(parent, signal)
        process.waitUntilExit()
        #expect(process.terminationStatus == (signal == SIGINT ? 130 : SIGKILL))
        #expect(eventually { BenchRun.servers(of: parent).isEmpty })
    }

    /// Whether it comes to hold, within a time in which it surely should.
    private func eventually(_ holds: () -> Bool) -> Bool {
        let end = ContinuousClock.now + .seconds(120)
        while ContinuousClock.now < end {
            if holds() { return true }
            sched_yield()
        }
        return false
    }
}
