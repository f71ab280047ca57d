import AIO
import AIOSimulation

/// Runs of programs on one simulated disk, one after the other, most of them ended by a loss of power.
package struct Lives {
    /// What was run and checked.
    package private(set) var counts = CrashCounts()
    /// All system calls of all lives; empty unless the story is told.
    package private(set) var story: [String] = []
    private let tellsStory: Bool
    /// What the next life finds.
    var disk: SimulatedDisk?

    init(tellsStory: Bool) { self.tellsStory = tellsStory }

    /// How a life is run.
    struct Conditions {
        var seed: UInt64
        /// Before which call the power goes off; nil for never.
        var crash: SimulatedCrash?
        var faults: [SimulatedFault] = []
    }

    /// How a life ended, without a violation.
    struct End {
        /// Whether the power went off.
        let isCrash: Bool
        /// The number of system calls.
        let callCount: Int
    }

    /// Runs one life on the disk, and keeps what it leaves there.
    ///
    /// - Throws: what `body` throws, unless the power went off by then. With faults, it may throw an `IOError`.
    @discardableResult
    mutating func live(
        _ title: String, _ conditions: Conditions, _ body: @escaping @Sendable (Simulation) async throws -> Void
    ) async throws -> End {
        var options = SimulationOptions()
        options.disk = disk
        options.keepsStory = tellsStory
        // What a loss of power leaves open is reported there.
        options.runtime.log = { _ in }
        options.latency = Latency(least: 1_000, spread: 20_000)
        options.faults = conditions.faults
        options.crash = conditions.crash
        let report = try await simulate(seed: conditions.seed, options: options, body)
        counts.lives += 1
        if tellsStory { story += ["-- \(title)"] + report.story }
        disk = report.disk
        guard case .failure(let error) = report.result else {
            return End(isCrash: false, callCount: report.callCount)
        }
        if let error = error as? SimulationError, error.reason == .crashed {
            counts.crashes += 1
            return End(isCrash: true, callCount: report.callCount)
        }
        if error is IOError, !conditions.faults.isEmpty { return End(isCrash: false, callCount: report.callCount) }
        throw Violation("\(title): \(error)")
    }

    /// Counts operations whose promise was checked.
    mutating func add(checks: Int) { counts.checks += checks }
}

/// A promise that was not kept.
struct Violation: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// How much was run and checked.
package struct CrashCounts: Sendable {
    package var seeds = 0
    package var lives = 0
    /// The lives that ended with a loss of power.
    package var crashes = 0
    /// The operations whose promise was checked.
    package var checks = 0

    package init() {}

    package static func += (counts: inout CrashCounts, more: CrashCounts) {
        counts.seeds += more.seeds
        counts.lives += more.lives
        counts.crashes += more.crashes
        counts.checks += more.checks
    }
}
