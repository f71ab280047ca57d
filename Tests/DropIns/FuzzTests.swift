import Foundation
import Testing

/// A fuzzer of one of our libraries: a program that takes a folder, seconds and a seed, and prints `ok` at its end.
struct Fuzzer: Sendable, CustomTestStringConvertible {
    let program: Program
    /// Further arguments for a run over the system's library; nil if that library does not survive the fuzzer.
    let systemArguments: [String]?

    var testDescription: String { program.name }

    static let libaio = Fuzzer("fuzz_libaio", .libaio, systemArguments: ["system"])
    // libc's library crashes when a signal interrupts lio_listio.
    static let posixaio = Fuzzer("fuzz_posixaio", .posixaio, systemArguments: nil)
    static let all = [libaio, posixaio]

    private init(_ name: String, _ library: Library, systemArguments: [String]?) {
        var program = Program(name, library)
        // Long enough for a slow run; what takes longer hangs.
        program.limit = .seconds(Self.seconds + 90)
        self.program = program
        self.systemArguments = systemArguments
    }

    /// `FUZZ_SECONDS` sets the length of a run (Scripts/fuzz).
    static let seconds =
        Environment.inherited["FUZZ_SECONDS"].flatMap(Int.init) ?? (Environment.isContinuousIntegration ? 20 : 5)
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
    /// The fuzzer finds nothing there, so it makes no invalid demands.
    @Test(arguments: Fuzzer.all)
    func theSystemsLibraryStandsIt(_ fuzzer: Fuzzer) async throws {
        guard let arguments = fuzzer.systemArguments else { return }
        try await fuzzer.run(nil, seconds: min(Fuzzer.seconds, 5), extra: arguments)
    }

    @Test(arguments: Fuzzer.all, Way.preloads)
    func noCrashNoHangNoLeak(_ fuzzer: Fuzzer, _ way: Way) async throws {
        try way.requireEngine()
        try await fuzzer.run(way)
    }
}
