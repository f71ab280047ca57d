import Foundation
import Testing
import UnitSupport

/// `aio bench` and its subcommands, run as programs. The tests check the output's form, not the figures.
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
        (["echo", "--peer", "/etc/passwd"], "/etc/passwd: Permission denied"),
        (["echo", "--peer", "/"], "/: Is a directory"),
        (["echo", "--peer", "/dev/null"], "/dev/null: Permission denied"), (["echo", "--peer", ""], "in PATH"),
        (["echo", "--peer", "true"], "printed no address"),
        (["echo", "--peer", "echo"], "printed 127.0.0.1:0: "),
        (["echo", "--json", "/no/such/file"], "No such file"), (["pipe", "--json", "/"], "is a directory"),
        (["mixed", "--directory", "/no/such/folder"], "No such file"),
    ])
    func whatCannotBeDoneIsSaidInALine(_ arguments: [String], _ reason: String) throws {
        let run = try BenchRun(arguments + Self.short + ["--engines", "none"])
        #expect(run.status == 1 && run.output == "" && run.left == [])
        #expect(run.complaints.count == 1 && run.errors.contains(reason), "\(run.errors)")
    }

    /// As a shell finds it: past folders and files that cannot be executed, and in the working directory for an empty
    /// or relative name in PATH.
    @Test(arguments: ["folder:file:good", "folder:", ":folder", "$PWD/folder:$PWD/good"])
    func aPeerIsFoundAsByAShell(_ path: String) throws {
        let wrapper = [
            "sh", "-c",
            """
            mkdir -p folder/the-peer good file; echo > file/the-peer
            printf '#!/bin/sh\\necho it is the peer' > good/the-peer; chmod +x good/the-peer; cp good/the-peer .
            PATH=\(path) exec "$@"
            """, "sh",
        ]
        let run = try BenchRun(["echo", "--peer", "the-peer", "--engines", "none"] + Self.short, wrapper: wrapper)
        #expect(run.status == 1 && run.errors.contains("printed \"it is the peer\""), "\(run.errors)")
    }

    @Test func aPeerThatNobodyMayExecuteIsNamed() throws {
        let wrapper = ["sh", "-c", "mkdir file; echo > file/the-peer; PATH=file:$PATH exec \"$@\"", "sh"]
        let run = try BenchRun(["echo", "--peer", "the-peer", "--engines", "none"] + Self.short, wrapper: wrapper)
        #expect(run.status == 1 && run.errors.contains("file/the-peer: Permission denied"), "\(run.errors)")
    }

    @Test(arguments: [("0", "aio_read"), ("100", "aio_write")])
    func theCallOfPOSIXAIOThatFailedIsNamed(_ percent: String, _ call: String) async throws {
        guard let compiler = Environment.path(ofTool: "gcc") ?? Environment.path(ofTool: "cc") else {
            try Test.cancel("\(skipped("no C compiler is installed"))")
        }
        try await Environment.withScratch { folder in
            let source = """
                #include <errno.h>
                int aio_read(void *block) { errno = EAGAIN; return -1; }
                int aio_write(void *block) { errno = EAGAIN; return -1; }
                """
            try source.write(toFile: "\(folder)/refusing.c", atomically: false, encoding: .utf8)
            let library = "\(folder)/refusing.so"
            let made = try await Command([compiler, "-shared", "-fPIC", "-o", library, "\(folder)/refusing.c"]).run()
            try #require(made.succeeded, "\(made.errors)")
            let run = try BenchRun(
                ["--size", "1M", "--peers", "posix-aio", "--engines", "none", "--write", percent] + Self.short,
                wrapper: ["LD_PRELOAD=\(library)"])
            #expect(run.status == 1 && run.errors.contains("\(call): Resource temporarily"), "\(run.errors)")
        }
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
        // The command's own server again, as somebody else's program.
        let folder = TemporaryDirectory()
        let peer = folder.file("a-peer")
        let aio = BenchRun.program("aio").path
        try "#!/bin/sh\nexec '\(aio)' bench server --parent $PPID epoll\n"
            .write(toFile: peer, atomically: false, encoding: .utf8)
        try #require(chmod(peer, 0o755) == 0)
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
            #expect(names == ["epoll", "threads, IOQueue", "threads, await", "a-peer"])
            #expect(lines.allSatisfy { ($0["roundTripsPerSecond"] as? Double ?? 0) > 0 })
            for name in names { #expect(run.lines.contains { $0.hasPrefix("\(name)  ") }) }
        }
    }

    @Test func echoesAreMeasuredWithReadsAndWithout() throws {
        for rate in [[], ["--rate", "1000"]] {
            let run = try BenchRun.measuring(
                ["mixed", "--size", "256M", "--engines", "threads"] + rate,
                isMeasured: { run in
                    // A disk that is busy with other work may complete nothing during a short turn.
                    Self.readCounts(run.lines).allSatisfy { $0 != "0" }
                })
            #expect(run.status == 0 && run.errors == "" && run.left == [], "\(run.errors)")
            let counts = Self.readCounts(run.lines)
            #expect(counts.count == 4 && counts.allSatisfy { $0 != "0" }, "reads a second in \(run.lines)")
        }
    }

    /// Reads per second in each contestant's line, for those that have one.
    private static func readCounts(_ lines: [String]) -> [Substring] {
        ["epoll, pread", "epoll, Linux AIO", "threads, IOQueue", "threads, await"].compactMap { name in
            let cells = lines.first { $0.hasPrefix("\(name)  ") }?.dropFirst(name.count).split(separator: " ")
            return cells?.count == 9 ? cells?[6] : nil
        }
    }

    /// The server's process detects it.
    @Test func aFileThatIsReadBeforeTheTurnIsOverIsToldInALine() throws {
        let run = try BenchRun(
            ["mixed", "--size", "1M", "--duration", "5", "--rounds", "1", "--engines", "none"])
        #expect(run.status == 1 && run.output == "" && run.left == [])
        #expect(run.complaints.count == 1 && run.errors.contains("raise --size"), "\(run.errors)")
    }

    @Test func withoutRoomForTheConnectionsTheLimitIsNamed() throws {
        // Root can raise its limits, so the bench runs as another user.
        let wrapper =
            ["sh", "-c", "ulimit -n 200; exec \"$@\"", "sh"]
            + (geteuid() == 0 ? ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all"] : [])
        let probe = try BenchRun(["--help"], wrapper: wrapper)
        guard probe.status == 0 else { try Test.cancel("\(skipped("no setpriv, or no way to the program"))") }
        let run = try BenchRun(["echo", "--connections", "1000"] + Self.short, wrapper: wrapper)
        #expect(run.status == 1 && run.output == "")
        #expect(run.complaints.count == 1 && run.errors.contains("RLIMIT_NOFILE allows 200"), "\(run.errors)")
    }

    /// However the bench ends.
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

    /// Waits until `holds` returns true. Returns false after a timeout that only a hang reaches.
    private func eventually(_ holds: () -> Bool) -> Bool {
        let end = ContinuousClock.now + .seconds(120)
        while ContinuousClock.now < end {
            if holds() { return true }
            sched_yield()
        }
        return false
    }
}
