import AIO
import AIOSimulation

/// What a seed stands for: lives of one kind of program, and what must hold after each.
package protocol CrashHistory: Sendable {
    /// Runs the history, and throws a `Violation` for a promise that was not kept.
    func run(_ seed: UInt64, _ lives: inout Lives) async throws
}

extension CrashHistory {
    /// Runs the history of a seed. `failure` is nil if every promise was kept.
    package func result(of seed: UInt64) async throws -> (counts: CrashCounts, failure: CrashFailure?) {
        var lives = Lives(tellsStory: false)
        do { try await run(seed, &lives) } catch {
            var again = Lives(tellsStory: true)
            do { try await run(seed, &again) } catch {
                return (lives.counts, CrashFailure(seed: seed, reason: "\(error)", story: again.story))
            }
            return (lives.counts, CrashFailure(seed: seed, reason: "once, and not again: \(error)", story: []))
        }
        var counts = lives.counts
        counts.seeds = 1
        return (counts, nil)
    }

    /// The first failure among some seeds; nil if there is none.
    package func firstFailure(in seeds: ClosedRange<UInt64>) async throws -> CrashFailure? {
        for seed in seeds {
            if let failure = try await result(of: seed).failure { return failure }
        }
        return nil
    }
}

/// A promise that was not kept: how to repeat it, and what happened.
package struct CrashFailure: Error, CustomStringConvertible {
    package let seed: UInt64
    package let reason: String
    package let story: [String]

    package var description: String { "seed \(seed): \(reason)" }
}

/// What loses power.
package enum CrashSubject: String, CaseIterable, Sendable {
    case logStore = "log-store"
    case replaceFile = "replace-file"
    case copy = "copy"
    case logWriter = "log-writer"

    package var history: any CrashHistory {
        switch self {
        case .logStore: StoreHistory()
        case .replaceFile: ReplaceHistory()
        case .copy: CopyHistory()
        case .logWriter: WriterHistory()
        }
    }

    /// The same with a deliberate mistake each, which has to be found.
    package var mistakes: [(name: String, history: any CrashHistory)] {
        switch self {
        case .logStore: StoreHistory.mistakes
        case .replaceFile: ReplaceMistake.allCases.map { ("\($0)", ReplaceHistory($0)) }
        case .copy: CopyMistake.allCases.map { ("\($0)", CopyHistory($0)) }
        case .logWriter: WriterHistory.mistakes
        }
    }
}

/// The world that a seed chooses: what survives a crash, and whether syncs fail.
struct Weather: Sendable {
    let rules: SimulatedCrash.Rules
    let faults: [SimulatedFault]

    /// Each of the four combinations in turn. With `faults` false, syncs succeed.
    init(_ seed: UInt64, faults hasFaults: Bool = true) {
        rules = seed.isMultiple(of: 2) ? .ordered : .posix
        let fails = hasFaults && (seed / 2).isMultiple(of: 2)
        faults = fails ? Self.failingSyncs : []
    }

    /// EIO, which loses what the sync should have saved.
    private static let failingSyncs = ["fdatasync", "fsync"].map {
        SimulatedFault(.error(Errno(rawValue: 5)), .oneIn(15), of: $0)
    }
}
