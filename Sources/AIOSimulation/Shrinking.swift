internal import AIO

/// What is left of the faults of a run that fails: none of them can be left out.
public struct ShrunkFailure: Error, Sendable, CustomStringConvertible {
    /// The seed of the run, which repeats it together with the faults.
    public let seed: UInt64
    /// A plan without chance under which the run fails: for `SimulationOptions.faults`, in place of what was there.
    /// Empty if it fails without any fault.
    public let faults: [SimulatedFault]
    /// What the body throws under the plan, or a ``SimulationError``.
    public let error: any Error
    /// What happens in the run, one line for each system call.
    public let story: [String]
    /// How many faults happened in the run that failed first.
    public let originalCount: Int
    /// How many runs it took.
    public let runCount: Int
    /// Whether the limit of runs ended the search: some of the faults might be left out still.
    public let isAtLimit: Bool

    /// The error and the plan, as an expression for a test.
    public var description: String {
        let plan = faults.map(\.description).joined(separator: ", ")
        let left = "\(faults.count) of \(originalCount) faults\(isAtLimit ? ", at the limit of runs" : "")"
        return "simulation of seed \(seed) fails with \(left): [\(plan)]: \(error)"
    }
}

/// Runs `body` as ``simulate(seed:options:_:)`` does, and if it fails, looks for as few of the faults of that run as
/// possible under which it fails in the same way.
///
/// Faults by chance become a plan of those that happened, of which more and more are left out (delta debugging: Zeller
/// and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002). The body is run once for each attempt,
/// so it must not keep anything from one run to the next. The search itself is repeatable.
///
/// ```swift
/// var options = SimulationOptions()
/// options.faults = [SimulatedFault(.error(Errno(rawValue: 5)), .oneIn(20))]  // EIO
/// if let failure = try await shrink(seed: 7, options: options, body) {
///     print(failure.story.joined(separator: "\n"))
///     throw failure
/// }
/// ```
///
/// Returns nil if the run succeeds.
///
/// - Parameters:
///   - runLimit: the number of runs after which the search ends with what it has.
///   - isSame: whether a failure is the one that is looked for, given the first one and another. By default an error of
///     the same type, with the same code or reason if it is an `IOError` or a ``SimulationError``.
/// - Throws: ``SimulationError`` with ``SimulationError/Reason/unrepeatable``; `CancellationError` if the task is
///   cancelled between two runs.
public func shrink<Value: Sendable>(
    seed: UInt64, options: SimulationOptions = SimulationOptions(), runLimit: Int = 1000,
    isSame: (any Error, any Error) -> Bool = isSameFailure,
    _ body: @escaping @Sendable (Simulation) async throws -> Value
) async throws -> ShrunkFailure? {
    let first = try await simulate(seed: seed, options: options, body)
    guard case .failure(let original) = first.result else { return nil }
    var runCount = 1
    let plan = first.faults.map(\.fault)
    var last = first

    func fails(_ kept: [Int]) async throws -> Bool {
        try Task.checkCancellation()
        var options = options
        options.faults = kept.map { plan[$0] }
        options.keepsStory = true
        runCount += 1
        let report = try await simulate(seed: seed, options: options, body)
        guard case .failure(let error) = report.result, isSame(original, error) else { return false }
        last = report
        return true
    }

    guard try await fails(Array(plan.indices)), last.traceHash == first.traceHash else {
        throw SimulationError(reason: .unrepeatable, seed: seed, details: "")
    }
    let search = try await DeltaDebugging.shrink(plan.count, until: { runCount >= runLimit }, fails)
    // `last` is the run of what is kept: a smaller one that failed would have been kept.
    guard case .failure(let error) = last.result else { return nil }
    return ShrunkFailure(
        seed: seed, faults: search.kept.map { plan[$0] }, error: error, story: last.story, originalCount: plan.count,
        runCount: runCount, isAtLimit: !search.isMinimal)
}

/// The usual answer to whether two failures are the same: their types are, and their codes or reasons, if they are
/// errors of the library or of the simulation.
public func isSameFailure(_ one: any Error, _ other: any Error) -> Bool {
    switch (one, other) {
    case (let one as IOError, let other as IOError): one.code == other.code
    case (let one as SimulationError, let other as SimulationError): one.reason == other.reason
    default: type(of: one) == type(of: other)
    }
}

/// The algorithm ddmin: reduces a list that makes something fail to one of which no element can be left out.
enum DeltaDebugging {
    /// The indices 0 ..< count make `fails` true. Returns those that are kept, and whether none of them can be left
    /// out; not so if `isOver` ended the search.
    static func shrink(
        _ count: Int, until isOver: () -> Bool, _ fails: ([Int]) async throws -> Bool
    ) async rethrows -> (kept: [Int], isMinimal: Bool) {
        var kept = Array(0..<count)
        guard count > 0 else { return (kept, true) }
        if try await fails([]) { return ([], true) }
        var parts = 2
        while kept.count > 1 {
            var smaller: [Int]?
            // The parts, and then what is left without each; of two parts each is what is left without the other.
            candidates: for isComplement in parts == 2 ? [false] : [false, true] {
                for range in ranges(kept.count, parts) {
                    guard !isOver() else { return (kept, false) }
                    let candidate =
                        isComplement ? Array(kept[..<range.lowerBound] + kept[range.upperBound...]) : Array(kept[range])
                    guard try await fails(candidate) else { continue }
                    smaller = candidate
                    parts = isComplement ? max(parts - 1, 2) : 2
                    break candidates
                }
            }
            if let smaller {
                kept = smaller
                parts = min(parts, max(2, kept.count))
            } else if parts < kept.count {
                parts = min(2 * parts, kept.count)
            } else {
                break
            }
        }
        return (kept, true)
    }

    /// Divides `0 ..< count` into parts of nearly the same size.
    private static func ranges(_ count: Int, _ parts: Int) -> [Range<Int>] {
        (0..<parts).map { count * $0 / parts..<count * ($0 + 1) / parts }
    }
}
