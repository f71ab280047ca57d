import Foundation
import Testing
import UnitSupport

/// Random programs have the same outcome over the system's libraries and over ours: results, memory, files, streams,
/// counters and signals. `Scripts/differential` runs longer, on more file systems.
@Suite(.serialized, .timeLimit(.minutes(60))) struct DifferentialTests {
    static let interpreters = [Program("differ_libaio", .libaio), Program("differ_posixaio", .posixaio)]

    /// `DIFFERENTIAL_SECONDS` sets the length of a run.
    static let seconds =
        Environment.inherited["DIFFERENTIAL_SECONDS"].flatMap(Int.init)
        ?? (Environment.isContinuousIntegration ? 25 : 5)
    /// Each run has a new seed, which it prints; `DIFFERENTIAL_SEED` repeats one. CI always uses the same seed, so that
    /// a fault which a change did not introduce does not block it; `Scripts/differential` finds such faults.
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
            // A difference is reduced before it is reported.
            command.limit = .seconds(Self.seconds * 2 + 300)
            return try await command.run()
        }
        print("\(interpreter.name), seed \(Self.seed): \(outcome.output.suffix(20_000))")
        #expect(outcome.succeeded, "it \(outcome.ending)\n\(outcome.output.suffix(20_000))\(outcome.errors)")
    }
}
