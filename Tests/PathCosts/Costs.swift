import AIO
import CAllocationCount
import CInstructionCount
import Glibc

/// What an operation costs, whatever the machine's speed.
struct Cost {
    var allocations: Double
    /// User instructions of the thread that runs the task. nil where they are not counted.
    var instructions: Double?

    /// How much more is no failure: processors differ in which variant of memcpy(3) they get.
    private static let tolerance = 1.1
    private static let slack = 20.0

    var text: String { instructions.map { "\(Int($0))" } ?? "-" }

    func least(_ other: Cost) -> Cost {
        let both = [instructions, other.instructions].compactMap { $0 }
        return Cost(allocations: min(allocations, other.allocations), instructions: both.min())
    }

    func exceeds(_ limit: Cost) -> Bool { allocatesMore(than: limit) || isLonger(than: limit) }

    func allocatesMore(than limit: Cost) -> Bool { allocations > limit.allocations + 0.02 }

    func isLonger(than limit: Cost) -> Bool {
        guard let instructions, let most = limit.instructions else { return false }
        return instructions > most * Self.tolerance + Self.slack
    }

    func isShorter(than limit: Cost) -> Bool {
        guard let instructions, let most = limit.instructions else { return false }
        return instructions < most / Self.tolerance - Self.slack
    }
}

/// Measures costs, and compares them with what is expected (`expected`, next to this file).
final class Costs {
    private let expected: [String: Cost]
    /// Why instructions are not counted; nil if they are.
    let whyNotCounted: String?
    private(set) var failures: [String] = []
    /// Lines for `expected`.
    private(set) var measured: [String] = []

    private static let warmUps = 2000
    /// How many operations are executed step by step.
    private static let counted = 16
    /// The least of so many measurements counts: what happens beside (a page that is evicted, a lock in the kernel, a
    /// queue that grows once more) only adds to a cost.
    private static let attempts = 5

    init(_ text: String) {
        expected = Costs.parse(text)
        #if arch(x86_64)
            let result = instruction_count_start()
            whyNotCounted = result == 0 ? nil : "ptrace: \(String(cString: strerror(-result)))"
        #else
            whyNotCounted = "what is expected is that of x86-64"
        #endif
    }

    private static func parse(_ text: String) -> [String: Cost] {
        var costs: [String: Cost] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let fields = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: true)
            guard fields.count == 4, let allocations = Double(fields[1]) else {
                fatalError("a line of the expected costs is not ENGINE ALLOCATIONS INSTRUCTIONS PATH: \(line)")
            }
            let path = fields[3].drop { $0 == " " }
            costs["\(fields[0]) \(path)"] = Cost(allocations: allocations, instructions: Double(fields[2]))
        }
        return costs
    }

    /// Measures `body`, which executes `operations` operations each time. With `expects` false the cost is printed and
    /// not compared: a task that no loop runs is resumed by libdispatch, which allocates. Without `isSteady`
    /// instructions are not counted, since they depend on when a device completes.
    func measure(
        _ engine: EngineKind, _ path: String, operations: Int = 1, expects: Bool = true, isSteady: Bool = true,
        _ body: (Int) async throws -> Void
    ) async throws {
        let rounds = max(1, Self.warmUps / operations)
        for index in 0..<rounds { try await body(index) }
        // The other engines are `threads` with a service.
        let counts = expects && isSteady && whyNotCounted == nil && (engine == .ioUring || engine == .threads)
        var cost = Cost(allocations: .infinity)
        for _ in 0..<Self.attempts {
            cost = cost.least(try await measureOnce(operations, rounds, counts: counts, body))
            guard expects, let before = expected["\(engine) \(path)"], cost.exceeds(before) else { break }
        }
        report(engine, path, cost, expects: expects)
    }

    private func measureOnce(
        _ operations: Int, _ rounds: Int, counts: Bool, _ body: (Int) async throws -> Void
    ) async throws -> Cost {
        let before = allocation_count()
        guard before >= 0 else { fatalError("a sanitizer's allocator is not counted") }
        for index in 0..<rounds { try await body(index) }
        var cost = Cost(allocations: Double(allocation_count() - before) / Double(rounds * operations))
        guard counts else { return cost }
        let steps = max(1, Self.counted / operations)
        instruction_count_begin()
        for index in 0..<steps { try await body(index) }
        let count = instruction_count_end()
        guard count >= 0 else { fatalError("ptrace: \(String(cString: strerror(Int32(-count))))") }
        cost.instructions = Double(count) / Double(steps * operations)
        return cost
    }

    private func report(_ engine: EngineKind, _ path: String, _ cost: Cost, expects: Bool) {
        let allocations = (cost.allocations * 100).rounded() / 100
        let instructions = cost.instructions.map { Int($0.rounded()) }
        let line =
            Self.padded("\(engine)", 11) + Self.padded("\(allocations)", 13)
            + Self.padded(instructions.map { "\($0)" } ?? "-", 14) + path
        print(line)
        fflush(nil)
        guard expects else { return }
        measured.append(line)
        guard let before = expected["\(engine) \(path)"] else { return failures.append("\(line): expected nowhere") }
        if cost.allocatesMore(than: before) {
            failures.append("\(engine), \(path): \(allocations) allocations, expected \(before.allocations)")
        }
        if cost.isLonger(than: before) {
            failures.append("\(engine), \(path): \(instructions ?? 0) instructions, expected \(before.text)")
        } else if cost.isShorter(than: before) {
            print("    less than the \(before.text) expected: note the new figure (--expected)")
        }
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.utf8.count))
    }
}
