import Testing

/// The lines that a program printed: `case/what: result`, in order.
struct Facts: Sendable {
    private(set) var names: [String] = []
    private(set) var results: [String: String] = [:]
    /// Lines that do not have this form, and names that occur twice.
    private(set) var faults: [String] = []

    init(_ output: String) {
        for line in output.split(separator: "\n") {
            guard let colon = line.range(of: ": "), results[String(line[..<colon.lowerBound])] == nil else {
                faults.append(String(line))
                continue
            }
            let name = String(line[..<colon.lowerBound])
            names.append(name)
            results[name] = String(line[colon.upperBound...])
        }
    }
}

/// An intended difference from the system's library.
struct Better: Sendable {
    /// The line's result with our library; several, if each of them is right.
    let expected: [String]
    /// Why this is right, and better.
    let reason: String

    init(_ expected: String..., because reason: String) {
        self.expected = expected
        self.reason = reason
    }
}

/// The system's library's results, determined once per program.
actor Baselines {
    static let shared = Baselines()
    private var facts: [String: Task<Facts, any Error>] = [:]

    func facts(of program: Program) async throws -> Facts {
        // Not in the task: this call may skip the test.
        _ = try await Compiler.shared.executable(of: program)
        if let known = facts[program.name] { return try await known.value }
        let task = Task { try Self.checked(await program.run(nil), "\(program.name) over the system's library") }
        facts[program.name] = task
        return try await task.value
    }

    static func checked(_ outcome: Outcome, _ what: String) throws -> Facts {
        let facts = Facts(outcome.output)
        guard outcome.succeeded, !facts.names.isEmpty, facts.faults.isEmpty else {
            let faults = facts.faults.map { "\nnot a fact: \($0)" }.joined()
            throw Unavailable(
                reason: "\(what) \(outcome.ending)\(faults)\n\(outcome.output.suffix(2000))\(outcome.errors)")
        }
        return facts
    }
}

/// Runs a program over the system's library and over ours. Each line must be the same, except for those in `better`,
/// whose keys are `program: case/what`. For a case that crashes over the system's library, `better` must contain all of
/// our lines.
func expectSame(_ program: Program, _ way: Way, better: [String: Better] = [:]) async throws {
    try way.requireEngine()
    let system = try await Baselines.shared.facts(of: program)
    let outcome = try await program.run(way)
    let ours = Facts(outcome.output)
    #expect(outcome.succeeded, "\(program.name) \(outcome.ending)\n\(outcome.errors)")
    #expect(ours.faults.isEmpty, "lines that are no facts, or come twice")
    // Of a debug build (`Scripts/build-dropins debug`). Most cases are children, whose end the program only reports.
    let checks = outcome.errors.split(separator: "\n").filter { $0.contains(/: (Assertion failed|Fatal error)/) }
    #expect(checks.isEmpty, "checks of the library that failed in \(program.name)")
    let better = ofProgram(program, better)
    let crashes = Set(better.keys.compactMap { $0.split(separator: "/").first.map(String.init) }).subtracting(
        better.keys)
    for name in system.names where !crashes.contains(name) && better[name] == nil {
        let result = ours.results[name] ?? "(nothing)"
        let expected = system.results[name] ?? ""
        #expect(result == expected, "\(name): \(result); the system's library: \(expected)")
    }
    for (name, better) in better {
        let result = ours.results[name] ?? "(nothing)"
        #expect(better.expected.contains(result), "\(name): \(result); expected \(better.expected): \(better.reason)")
    }
    let unknown = ours.names.filter { system.results[$0] == nil && better[$0] == nil }
    #expect(unknown.isEmpty, "facts that the system's library does not show")
}

private func ofProgram(_ program: Program, _ better: [String: Better]) -> [String: Better] {
    let prefix = "\(program.name): "
    let own = better.filter { $0.key.hasPrefix(prefix) }.map { (String($0.key.dropFirst(prefix.count)), $0.value) }
    return Dictionary(uniqueKeysWithValues: own)
}
