import Foundation
import Testing
import UnitSupport

/// The drop-in libraries with each of their system calls failing in turn, with each error that it may meet: what a
/// program sees is what the original, or the kernel, might have answered; each operation ends once; nothing is left;
/// and afterwards everything works. The programs, `faults_libaio.c` and `faults_posixaio.c`, check that.
///
/// Each case is a process. `AIO_TEST_STORY=1` has each scenario print its numbers of faults.
@Suite(.timeLimit(.minutes(10))) struct FaultTests {
    private static let libaio = [
        "files", "direct", "appends", "closed-numbers", "pipes", "sockets", "cancels", "ends-in-flight", "eventfds",
        "waits", "contexts", "forks",
    ].map { FaultScenario(Program("faults_libaio", .libaio), $0) }
    private static let posixaio = [
        "files", "appends", "closed-numbers", "lists", "signals", "threads", "pipes", "sockets", "cancels", "forks",
    ].map { FaultScenario(Program("faults_posixaio", .posixaio), $0) }

    @Test(arguments: libaio, Way.forced)
    func libaioAnswersAsTheKernelMight(_ scenario: FaultScenario, _ way: Way) async throws {
        try await FaultWalk(scenario, way).run()
    }

    @Test(arguments: posixaio, Way.forced)
    func posixAIOAnswersAsTheOriginalMight(_ scenario: FaultScenario, _ way: Way) async throws {
        try await FaultWalk(scenario, way).run()
    }

    /// Otherwise a mistake would show nothing.
    @Test func aProgramWhoseFaultsHaveAMistakeDoesNotRun() async throws {
        let walk = try await FaultWalk(Self.libaio[0], .preloaded(engine: nil))
        let outcome = try await walk.run("fsync=ENOTHING").outcome
        #expect(outcome.ending == .exited(2))
        #expect(outcome.errors.hasPrefix("AIO_FAULTS: fsync=ENOTHING: "))
    }
}

/// A part of a program.
struct FaultScenario: Sendable, CustomTestStringConvertible {
    let program: Program
    let name: String

    init(_ program: Program, _ name: String) {
        self.program = program
        self.name = name
    }

    var testDescription: String { "\(program.name) \(name)" }
}

/// Runs a scenario once to see its calls, and then once for each of them and each error.
private struct FaultWalk: Sendable {
    private let scenario: FaultScenario
    private let way: Way
    private let command: [String]
    private let environment: [String: String]

    /// Skips the test, with the reason, if this kernel lacks the engine.
    init(_ scenario: FaultScenario, _ way: Way) async throws {
        try way.requireEngine()
        self.scenario = scenario
        self.way = way
        let program = try await Compiler.shared.executable(of: scenario.program)
        command = [program, Environment.memoryFolder, scenario.name, "2"]
        environment = try await way.environment(
            for: scenario.program.library, at: scenario.program.library.pathWithFaults())
    }

    func run() async throws {
        // What is carried out within the kernel, by a ring or by Linux AIO, makes no call: so those of operations are
        // recorded while a rule that never applies has them made by system calls.
        var faults = try await calls(while: "*:99999999=EIO", areOfEngine: false)
        faults += try await calls(while: "", areOfEngine: true)
        try #require(!faults.isEmpty)
        var missed: [String] = []
        try await withThrowingTaskGroup(of: (String, Bool).self) { group in
            var rest = faults[...]
            for fault in rest.prefix(Self.width) { group.addTask { (fault, try await judge(fault)) } }
            rest = rest.dropFirst(Self.width)
            while let (fault, isMet) = try await group.next() {
                if !isMet { missed.append(fault) }
                if let next = rest.popFirst() { group.addTask { (next, try await judge(next)) } }
            }
        }
        // A run may take another turn than the one that was recorded, but most are alike.
        #expect(missed.count * 4 <= faults.count, "\(scenario.testDescription): not met: \(missed)")
        if Environment.inherited["AIO_TEST_STORY"] != nil {
            let met = faults.count - missed.count
            print("\(scenario.testDescription), \(way.testDescription): \(met) faults, \(missed.count) not met")
        }
    }

    /// How many processes there are at a time.
    private static let width = 6

    /// The faults of the calls of the first round, in which the library also starts.
    private func calls(while faults: String, areOfEngine: Bool) async throws -> [String] {
        let (outcome, log) = try await run(faults, rounds: 1)
        #expect(outcome.succeeded && outcome.output.isEmpty, "without a fault: \(outcome)")
        var seen: Set<String> = []
        return LoggedCall.all(in: log).filter { PossibleFaults.isOfEngine($0) == areOfEngine }.flatMap { call in
            // A forked child counts on from where its parent was, and so does the parent.
            PossibleFaults.actions(for: call).map { "\(call.name):\(call.number)=\($0)" }
        }.filter { seen.insert($0).inserted }
    }

    /// Returns whether the call came at all.
    private func judge(_ fault: String) async throws -> Bool {
        let (outcome, log) = try await run(fault)
        let action = fault[fault.index(after: fault.lastIndex(of: "=")!)...]
        let met = LoggedCall.faults(in: log)
        // In another order, the number may be that of a call that cannot fail so.
        guard met.allSatisfy({ PossibleFaults.actions(for: $0).contains(String(action)) }) else { return false }
        let what = "\(scenario.testDescription), \(way.testDescription), AIO_FAULTS=\(fault)"
        #expect(outcome.ending == .exited(0), "\(what): \(outcome.ending)\n\(outcome.errors)")
        #expect(outcome.output.isEmpty, "\(what):\n\(outcome.output)")
        return !met.isEmpty
    }

    func run(_ faults: String, rounds: Int = 2) async throws -> (outcome: Outcome, log: Data) {
        let log = "\(Environment.memoryFolder)/calls-\(UUID().uuidString)"
        defer { unlink(log) }
        var command = Command(command.dropLast() + ["\(rounds)"])
        command.environment = environment.merging(["AIO_FAULTS": faults, "AIO_FAULTS_LOG": log]) { $1 }
        let outcome = try await command.run()
        return (outcome, (try? Data(contentsOf: URL(filePath: log))) ?? Data())
    }
}
