import Foundation
import Testing

/// A run of `aio bench` as a program in a new folder.
struct BenchRun {
    var status: Int32
    var output: String
    var errors: String
    /// The names in the folder afterwards.
    var left: [String]

    var lines: [String] { output.split(separator: "\n").map(String.init) }
    var complaints: [String] { errors.split(separator: "\n").map(String.init) }

    /// The program with this name in the tests' folder.
    static func program(_ name: String) -> URL {
        URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent().appending(
            path: name)
    }

    /// `wrapper` is a program, with its arguments, that starts the command.
    init(_ arguments: [String], wrapper: [String] = [], look: (String) throws -> Void = { _ in }) throws {
        let folder = "/var/tmp/aio-bench-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let process = BenchRun.process(arguments, wrapper: wrapper, in: folder)
        let (output, errors) = (Pipe(), Pipe())
        (process.standardOutput, process.standardError) = (output, errors)
        try process.run()
        let written = contents(of: output, errors)
        self.output = String(decoding: written.output, as: UTF8.self)
        self.errors = String(decoding: written.errors, as: UTF8.self)
        process.waitUntilExit()
        status = process.terminationStatus
        if status == 0 { try look(folder) }
        left = try FileManager.default.contentsOfDirectory(atPath: folder)
    }

    /// Runs with short turns. On a machine so busy that a contestant gets nothing done in these, it repeats with longer
    /// ones. `isMeasured` decides whether the run has measured everything.
    static func measuring(
        _ arguments: [String], look: (String) throws -> Void = { _ in }, isMeasured: (BenchRun) -> Bool = { _ in true }
    ) throws -> BenchRun {
        for duration in ["20ms", "200ms"] {
            let run = try BenchRun(arguments + ["--rounds", "1", "--duration", duration], look: look)
            let isTooShort = run.errors.contains("raise --duration")
            if !isTooShort, run.status != 0 || isMeasured(run) { return run }
        }
        return try BenchRun(arguments + ["--rounds", "1", "--duration", "2"], look: look)
    }

    static func process(_ arguments: [String], wrapper: [String] = [], in folder: String) -> Process {
        let command = wrapper + [program("aio").path, "bench"] + arguments
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = command
        process.currentDirectoryURL = URL(filePath: folder)
        return process
    }

    /// The IDs of the processes that `parent` started to be measured, found by their `--parent` argument.
    static func servers(of parent: Int32) -> [Int32] {
        let numbers = (try? FileManager.default.contentsOfDirectory(atPath: "/proc"))?.compactMap { Int32($0) } ?? []
        return numbers.filter { number in
            let line = (try? Data(contentsOf: URL(filePath: "/proc/\(number)/cmdline"))) ?? Data()
            let arguments = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            return zip(arguments, arguments.dropFirst()).contains { $0 == "--parent" && $1 == "\(parent)" }
        }
    }
}
