import Foundation
import Testing

/// A fuzzer of one of our libraries: a program that takes a folder, seconds and a seed, and prints `ok` at its end.
struct Fuzzer: Sendable, CustomTestStringConvertible {
    let program: Program

    var testDescription: String { program.name }

    static let libaio = Fuzzer("fuzz_libaio", .libaio)
    static let posixaio = Fuzzer("fuzz_posixaio", .posixaio)
    static let all = [libaio, posixaio]

    private init(_ name: String, _ library: Library) {
        var program = Program(name, library)
        // Long enough for a slow run; what takes longer hangs.
        program.limit = .seconds(Self.seconds + 90)
        self.program = program
    }

    /// `FUZZ_SECONDS` sets the length of a run (Scripts/fuzz).
    static let seconds =
        Environment.inherited["FUZZ_SECONDS"].flatMap(Int.init) ?? (Environment.isContinuousIntegration ? 10 : 5)
    /// Each run has a new seed, which it prints; `FUZZ_SEED` repeats one.
    static let seed = Environment.inherited["FUZZ_SEED"] ?? String(UInt32.random(in: 1...999_999))

    func run(_ way: Way?, seconds: Int = Self.seconds, extra: [String] = []) async throws {
        let outcome = try await program.run(way, arguments: ["\(seconds)", Self.seed] + extra)
        print("\(program.name), \(way?.testDescription ?? "the system's"): \(outcome.output)")
        #expect(outcome.succeeded, "it \(outcome.ending)\n\(outcome.output)\(outcome.errors)")
        #expect(outcome.output.hasSuffix("\nok\n"), "\(outcome.output)\(outcome.errors)")
    }
}

@Suite(.serialized, .timeLimit(.minutes(60))) struct FuzzTests {
    /// The fuzzer finds nothing there, so it makes no invalid demands. There is no such run of the other fuzzer: libc's
    /// library crashes when a signal interrupts lio_listio.
    @Test func theSystemsLibAIOStandsItsFuzzer() async throws {
        try await Fuzzer.libaio.run(nil, seconds: min(Fuzzer.seconds, 5), extra: ["system"])
    }

    @Test(arguments: Fuzzer.all, Way.forced)
    func noCrashNoHangNoLeak(_ fuzzer: Fuzzer, _ way: Way) async throws {
        try way.requireEngine()
        try await fuzzer.run(way)
    }
}
