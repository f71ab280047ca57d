import Foundation
import Testing
import UnitSupport

/// A C program of the tests, compiled once.
struct Program: Sendable, CustomTestStringConvertible {
    /// The name of its file in `Programs`, without `.c`.
    let name: String
    let library: Library
    /// The limit for a whole run; the program itself ends a case that hangs earlier.
    var limit = Duration.seconds(120)

    init(_ name: String, _ library: Library) {
        self.name = name
        self.library = library
    }

    var testDescription: String { name }

    /// `DROPINS_PROGRAM=NAME` runs one of the programs alone.
    static func isWanted(_ name: String) -> Bool { Environment.inherited["DROPINS_PROGRAM"].map { $0 == name } ?? true }

    /// Runs it over the system's library (nil), or over ours.
    func run(_ way: Way?, arguments: [String] = []) async throws -> Outcome {
        let path = try await Compiler.shared.executable(of: self)
        let environment = try await way?.environment(for: library) ?? [:]
        return try await Environment.withScratch { folder in
            var command = Command([path, folder] + arguments)
            command.environment = environment
            command.folder = folder
            command.limit = limit
            return try await command.run()
        }
    }
}

/// Compiles each program once.
actor Compiler {
    static let shared = Compiler()
    private var executables: [String: Task<String, any Error>] = [:]

    /// Skips the test, with the reason, if something is not installed.
    func executable(of program: Program) async throws -> String {
        guard let compiler = Environment.path(ofTool: "gcc") ?? Environment.path(ofTool: "cc") else {
            try Test.cancel("\(skipped("no C compiler is installed"))")
        }
        let library = program.library
        if library.systemPath == nil, let name = library.systemNames.first {
            try Test.cancel("\(skipped("no \(name) is installed"))")
        }
        if let known = executables[program.name] { return try await known.value }
        let task = Task { try await Self.compile(program, compiler) }
        executables[program.name] = task
        return try await task.value
    }

    private static func compile(_ program: Program, _ compiler: String) async throws -> String {
        let executable = "\(Environment.lasting)/\(program.name)"
        let flags =
            ["-std=gnu17", "-O1", "-g", "-fexceptions", "-pthread", "-D_GNU_SOURCE"]
            + ["-Wall", "-Wextra", "-Werror"]
        // The library's file instead of -laio: its development package may be missing, and references get versions.
        let outcome = try await Command(
            [compiler] + flags + ["-o", executable, "\(Environment.programs)/\(program.name).c"]
                + [program.library.systemPath].compactMap { $0 } + ["-ldl"]
        ).run()
        guard outcome.succeeded else { throw Unavailable(reason: "\(program.name).c: \(outcome.errors)") }
        return executable
    }
}
