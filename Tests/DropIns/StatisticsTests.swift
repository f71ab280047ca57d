import Foundation
import Testing
import UnitSupport

/// AIO_STATS requests a summary of a library's work in a process.
@Suite(.timeLimit(.minutes(15))) struct StatisticsTests {
    private static let program = Program("statistics", .libaio)
    /// The program's own exit status.
    private static let ending = Ending.exited(3)

    @Test(arguments: ["return", "_exit"], ["auto", "io_uring", "threads"])
    func everyOperationIsCountedOnce(_ way: String, _ engine: String) async throws {
        try Way.preloaded(engine: engine).requireEngine()
        let outcome = try await run([way], ["AIO_STATS": "1", "AIO_ENGINE": engine])
        #expect(outcome.ending == Self.ending)
        let summary = try #require(Summary.all(in: outcome.errors).first, "\(outcome.errors)")
        #expect(summary.title.hasPrefix("aio: libaio.so.1 in statistics, process "))
        #expect(summary["operations"] == 41)
        #expect(summary["read"] == 40)
        #expect(summary["fsync"] == 1)
        #expect(summary["completed"] == 41)
        #expect(summary["failed"] == 0)
        // The refused operation counts as a call, not as an operation.
        #expect(summary["in a call that submits"] == 42)
        #expect(summary["from acceptance to completion"] == 41)
        #expect(summary["in flight at most"] == 1)
        let carried = ["by the engine", "by a worker thread", "from the page cache"].compactMap { summary[$0] }
        #expect(carried.reduce(0, +) == 41)
        // RWF_NOWAIT may fail even if the page is cached.
        #expect((summary["from the page cache"] ?? 0) > 20)
    }

    @Test func whatIsCancelledAndWhatFailsAreCountedApart() async throws {
        let outcome = try await run(["in-vain"], ["AIO_STATS": "1"])
        #expect(outcome.ending == Self.ending, "\(outcome.errors)")
        let summary = try #require(Summary.all(in: outcome.errors).first, "\(outcome.errors)")
        #expect(summary["operations"] == 43)
        #expect(summary["completed"] == 43)
        #expect(summary["cancelled"] == 1)
        #expect(summary["failed"] == 1)
    }

    @Test func syncsOfDataAreCountedApart() async throws {
        let program = Program("posix_calls", .posixaio)
        let path = try await Compiler.shared.executable(of: program)
        let preload = ["LD_PRELOAD": try await Library.posixaio.path(), "AIO_STATS": "1"]
        let outcome = try await Environment.withScratch { scratch in
            var command = Command([path, scratch, "syncs"])
            command.environment = preload
            return try await command.run()
        }
        let summary = try #require(Summary.all(in: outcome.errors).first, "\(outcome.errors)")
        #expect(summary["fdsync"] == 1)
        #expect((summary["fsync"] ?? 0) > 1)
    }

    @Test func theColumnsOfTheTimesEndWhereTheirTitlesDo() async throws {
        let outcome = try await run(["return"], ["AIO_STATS": "1"])
        let lines = outcome.errors.split(separator: "\n")
        let first = try #require(lines.firstIndex { $0.contains("times in us") }, "\(outcome.errors)")
        let titles = lines[first].split(separator: " ").suffix(6)
        #expect(titles == ["count", "mean", "p50", "p99", "p99.9", "worst"])
        let ends = lines[first..<first + 3].map { line in
            line.split(separator: " ").suffix(6).map { line.distance(from: line.startIndex, to: $0.endIndex) }
        }
        #expect(ends[1] == ends[0] && ends[2] == ends[0], "\(outcome.errors)")
    }

    @Test(arguments: ["io_uring", "threads"])
    func theEngineIsNamedWithTheReason(_ engine: String) async throws {
        try Way.preloaded(engine: engine).requireEngine()
        let outcome = try await run([], ["AIO_STATS": "1", "AIO_ENGINE": engine])
        #expect(outcome.errors.contains("\n    engine  \(engine): requested by AIO_ENGINE\n"))
    }

    @Test func everyProcessThatUsesTheLibraryWritesOneBlock() async throws {
        try await Environment.withScratch { folder in
            let outcome = try await run(["children"], ["AIO_STATS": "\(folder)/stats"])
            #expect(outcome.ending == Self.ending)
            #expect(outcome.errors == "")
            let summaries = Summary.all(in: try String(contentsOfFile: "\(folder)/stats", encoding: .utf8))
            #expect(summaries.count == 4)
            #expect(Set(summaries.map(\.title)).count == 4)
            for summary in summaries { #expect(summary["operations"] == 41) }
        }
    }

    @Test(arguments: [["AIO_STATS": "1"], ["AIO_STATS": "0"], ["AIO_STATS": ""], [:]])
    func whatDoesNotUseTheLibraryOrDoesNotAskWritesNothing(_ environment: [String: String]) async throws {
        let way = environment["AIO_STATS"] == "1" ? "unused" : "return"
        let outcome = try await run([way], environment)
        #expect(outcome.ending == Self.ending)
        #expect(outcome.errors == "")
    }

    @Test func aChildThatSharesMemoryDoesNotWriteItsParentsSummary() async throws {
        let outcome = try await run(["vfork"], ["AIO_STATS": "1"])
        #expect(Summary.all(in: outcome.errors).count == 1)
        #expect(outcome.ending == Self.ending)
    }

    @Test func aProcessThatEndsTwiceWritesOneSummary() async throws {
        let outcome = try await run(["last-flush"], ["AIO_STATS": "1"])
        #expect(Summary.all(in: outcome.errors).count == 1, "\(outcome.errors)")
        #expect(outcome.ending == Self.ending)
    }

    @Test func aFileThatHasTakenTheNumberOfStandardErrorIsLeftAlone() async throws {
        try await Environment.withScratch { folder in
            let outcome = try await run(["own-file"], ["AIO_STATS": "1"], in: folder)
            #expect(outcome.ending == Self.ending)
            #expect(try Data(contentsOf: URL(filePath: "\(folder)/own")).isEmpty)
        }
    }

    @Test(arguments: [("broken-pipe", "1", ""), ("return", "/no/such/folder/file", "cannot be opened for writing\n")])
    func whereItCannotBeWrittenTheProgramEndsAllTheSame(_ way: String, _ value: String, _ end: String) async throws {
        let outcome = try await run([way], ["AIO_STATS": value])
        #expect(outcome.ending == Self.ending)
        #expect(outcome.errors.hasSuffix(end))
        #expect(outcome.errors.split(separator: "\n").count <= 1)
    }

    @Test func aFileIsNamedForItsProcess() async throws {
        try await Environment.withScratch { folder in
            let outcome = try await run(["children"], ["AIO_STATS": "\(folder)/100%%-%p-%x"])
            #expect(outcome.errors == "")
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("100") }
            #expect(names.count == 4)
            for name in names {
                let text = try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
                let title = try #require(Summary.all(in: text).first).title
                let process = try #require(name.split(separator: "-").dropFirst().first)
                #expect(name == "100%-\(process)-%x")
                #expect(title.contains(", process \(process), "))
            }
        }
    }

    @Test func aPerCentSignInTheFoldersNameIsNoPattern() async throws {
        try await Environment.withScratch { scratch in
            let folder = "\(scratch)/50%p"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            let outcome = try await run(["return"], ["AIO_STATS": "stats"], in: scratch, current: folder)
            #expect(outcome.errors == "")
            #expect(FileManager.default.fileExists(atPath: "\(folder)/stats"))
        }
    }

    /// The address space has less room than a thread's stack needs, so no engine can start.
    @Test func anEngineThatCouldNotStartIsSaidNotToHave() async throws {
        let outcome = try await run(["no-threads"], ["AIO_STATS": "1", "AIO_ENGINE": "threads"])
        #expect(outcome.errors.contains("\n    engine  none: it could not start: "), "\(outcome.errors)")
    }

    /// A program may call _exit(2) in a handler, which may have interrupted malloc(3), and the summary is written then.
    @Test(arguments: ["handler", "no-threads-and-a-handler"])
    func theSummaryInASignalHandlerNeedsNothingThatIsUnsafeThere(_ way: String) async throws {
        try await Environment.withScratch { folder in
            let outcome = try await run([way], ["AIO_STATS": "\(folder)/stats-%p", "AIO_ENGINE": "threads"])
            #expect(outcome.ending == Self.ending)
            #expect(outcome.errors == "")
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasPrefix("stats") }
            let name = try #require(names.first)
            let text = try String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)
            #expect(Summary.all(in: text).count == 1, "\(text)")
        }
    }

    /// Direct transfers, syncs, and polls of files that are always ready.
    @Test(arguments: [nil, "", "auto"])
    func whatTheKernelDoesWithoutWaitingNeedsNoEngine(_ engine: String?) async throws {
        let outcome = try await run(
            ["kernels"], ["AIO_STATS": "1"].merging(engine.map { ["AIO_ENGINE": $0] } ?? [:]) { $1 })
        #expect(outcome.ending == Self.ending, "\(outcome.errors)")
        #expect(outcome.errors.contains("\n    engine  none: it was not needed\n"), "\(outcome.errors)")
    }

    /// After a direct transfer some calls are handed to the kernel as they are.
    @Test func bufferedReadsAfterADirectOneAreSoonTheLibrarys() async throws {
        let outcome = try await run(["direct-first"], ["AIO_STATS": "1"])
        #expect(outcome.ending == Self.ending, "\(outcome.errors)")
        let summary = try #require(Summary.all(in: outcome.errors).first, "\(outcome.errors)")
        #expect(summary["completed"] == 101)
        let kernels = try #require(summary["by the kernel's Linux AIO"], "\(outcome.errors)")
        #expect((1...50).contains(kernels))
    }

    @Test func onValgrindTheEngineIsThreads() async throws {
        guard let valgrind = Environment.path(ofTool: "valgrind") else {
            try Test.cancel("\(skipped("no valgrind is installed"))")
        }
        let outcome = try await run(["return"], ["AIO_STATS": "1"], under: [valgrind, "-q"])
        #expect(outcome.ending == Self.ending)
        #expect(
            outcome.errors.contains(
                "\n    engine  threads: the program runs under valgrind, which io_uring would block\n"),
            "\(outcome.errors)")
    }

    private func run(
        _ arguments: [String], _ environment: [String: String], in folder: String? = nil, current: String? = nil,
        under tool: [String] = []
    ) async throws -> Outcome {
        let path = try await Compiler.shared.executable(of: Self.program)
        let preload = ["LD_PRELOAD": try await Library.libaio.path()]
        return try await Environment.withScratch { scratch in
            var command = Command(tool + [path, folder ?? scratch] + arguments)
            command.environment = preload.merging(environment) { $1 }
            command.folder = current ?? scratch
            return try await command.run()
        }
    }
}

/// A block that the library wrote.
private struct Summary {
    var title: String
    /// The first number of each line, by the text before it.
    private var counts: [String: Int] = [:]

    static func all(in text: String) -> [Summary] {
        var summaries: [Summary] = []
        for line in text.split(separator: "\n") {
            if line.hasPrefix("aio: ") {
                summaries.append(Summary(title: String(line)))
            } else if let start = line.firstIndex(where: \.isNumber), !summaries.isEmpty {
                let name = line[..<start].trimmingCharacters(in: .whitespaces)
                let digits = line[start...].prefix { $0.isNumber || $0 == "," }.filter(\.isNumber)
                summaries[summaries.count - 1].counts[name] = Int(digits)
            }
        }
        return summaries
    }

    private init(title: String) { self.title = title }

    subscript(name: String) -> Int? { counts[name] }
}
