import Foundation
import Testing
import UnitSupport

/// Random programs give the same over the system's libraries and over ours: results, memory, files, streams, counters and
/// signals. `Scripts/differential` does the same for hours, on more file systems.
@Suite(.serialized, .timeLimit(.minutes(60))) struct DifferentialTests {
    static let interpreters = [Program("differ_libaio", .libaio), Program("differ_posixaio", .posixaio)]

    /// `DIFFERENTIAL_SECONDS` is for longer runs.
    static let seconds =
        Environment.inherited["DIFFERENTIAL_SECONDS"].flatMap(Int.init)
        ?? (Environment.isContinuousIntegration ? 25 : 5)
    /// Each run another, which it says; `DIFFERENTIAL_SEED` repeats one. In CI always the same: what a change did not
    /// bring about is not to hold it up, and is looked for by `Scripts/differential`.
    static let seed =
        Environment.inherited["DIFFERENTIAL_SEED"]
        ?? (Environment.isContinuousIntegration ? "1" : String(UInt32.random(in: 1...999_999)))

    @Test(arguments: interpreters)
    func nothingDiffersThatIsNotMeantTo(_ interpreter: Program) async throws {
        try Way.preloaded(engine: "io_uring").requireEngine()
        let executable = try await Compiler.shared.executable(of: interpreter)
        let comparison = try await Compiler.shared.executable(of: Program("differ_compare", .posixaio))
        let library = try await interpreter.library.path()
        let outcome = try await Environment.withScratch { folder in
            let memory = "/dev/shm/\(URL(filePath: folder).lastPathComponent)"
            try FileManager.default.createDirectory(atPath: memory, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: memory) }
            var command = Command([comparison, executable, library, "\(Self.seconds)", Self.seed, folder, memory])
            // A difference is made small before it is told.
            command.limit = .seconds(Self.seconds * 2 + 300)
            return try await command.run()
        }
        print("\(interpreter.name), seed \(Self.seed): \(outcome.output.suffix(20_000))")
        #expect(outcome.succeeded, "it \(outcome.ending)\n\(outcome.output.suffix(20_000))\(outcome.errors)")
    }
}
