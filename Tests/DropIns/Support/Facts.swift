import Testing

/// The lines that a program printed: `case/what: result`, in this order.
struct Facts: Sendable {
    private(set) var names: [String] = []
    private(set) var results: [String: String] = [:]
    /// Lines that are not of this form, and names that came twice.
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

/// Where ours is meant to differ from the system's library.
struct Better: Sendable {
    /// What the line says with ours; several, if more than one is right.
    let expected: [String]
    /// Why that is right, and better.
    let reason: String

    init(_ expected: String..., because reason: String) {
        self.expected = expected
        self.reason = reason
    }
}

/// What the system's library does, asked once a program.
actor Baselines {
    static let shared = Baselines()
    private var facts: [String: Task<Facts, any Error>] = [:]

    func facts(of program: Program) async throws -> Facts {
        // Outside of the task: this one skips the test that asks.
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

/// Runs a program over the system's library and over ours; each line must be the same, but for those in `better`.
func expectSame(_ program: Program, _ way: Way, better: [String: Better] = [:]) async throws {
    try way.requireEngine()
    let system = try await Baselines.shared.facts(of: program)
    let outcome = try await program.run(way)
    let ours = Facts(outcome.output)
    #expect(outcome.succeeded, "\(program.name) \(outcome.ending)\n\(outcome.errors)")
    #expect(ours.faults.isEmpty, "lines that are no facts, or come twice")
    for name in system.names {
        let result = ours.results[name] ?? "(nothing)"
        if let better = better["\(program.name): \(name)"] {
            #expect(
                better.expected.contains(result), "\(name): \(result); expected \(better.expected): \(better.reason)")
        } else {
            let expected = system.results[name] ?? ""
            #expect(result == expected, "\(name): \(result); the system's library: \(expected)")
        }
    }
    let unknown = ours.names.filter { system.results[$0] == nil }
    #expect(unknown.isEmpty, "facts that the system's library does not show")
}
