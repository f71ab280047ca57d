import Foundation
import Testing

/// A fuzzer of one of our libraries: a program that takes a folder, seconds and a seed, and ends with `ok`.
struct Fuzzer: Sendable, CustomTestStringConvertible {
    let program: Program
    /// What it is told for the system's library; nil if that cannot stand it.
    let systemArguments: [String]?

    var testDescription: String { program.name }

    static let libaio = Fuzzer("fuzz_libaio", .libaio, systemArguments: ["system"])
    // libc's crashes when a signal interrupts lio_listio.
    static let posixaio = Fuzzer("fuzz_posixaio", .posixaio, systemArguments: nil)
    static let all = [libaio, posixaio]

    private init(_ name: String, _ library: Library, systemArguments: [String]?) {
        var program = Program(name, library)
        // What hangs is ended well after what is slow.
        program.limit = .seconds(Self.seconds + 90)
        self.program = program
        self.systemArguments = systemArguments
    }

    /// `FUZZ_SECONDS` is for longer runs: Scripts/fuzz.
    static let seconds =
        Environment.inherited["FUZZ_SECONDS"].flatMap(Int.init) ?? (Environment.isContinuousIntegration ? 20 : 5)
    /// Each run another, which it says; `FUZZ_SEED` repeats one.
    static let seed = Environment.inherited["FUZZ_SEED"] ?? String(UInt32.random(in: 1...999_999))

    func run(_ way: Way?, seconds: Int = Self.seconds, extra: [String] = []) async throws {
        let outcome = try await program.run(way, arguments: ["\(seconds)", Self.seed] + extra)
        print("\(program.name), \(way?.testDescription ?? "the system's"): \(outcome.output)")
        #expect(outcome.succeeded, "it \(outcome.ending)\n\(outcome.output)\(outcome.errors)")
        #expect(outcome.output.hasSuffix("\nok\n"), "\(outcome.output)\(outcome.errors)")
    }
}

@Suite(.serialized, .timeLimit(.minutes(60))) struct FuzzTests {
    /// That it finds nothing there shows that it asks for nothing that is not allowed.
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
