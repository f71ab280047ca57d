import AIO
import AIOSimulation
import UnitSupport

/// Copies with `sync`, and losses of power. Half of the seeds choose a single copy, and lose power before each of its
/// system calls in turn; for the others copies are made concurrently in each of several lives.
package struct CopyHistory: CrashHistory {
    private let mistake: CopyMistake?

    package init(_ mistake: CopyMistake? = nil) { self.mistake = mistake }

    package func run(_ seed: UInt64, _ lives: inout Lives) async throws {
        var random = SplitMix(seed)
        let weather = Weather(seed)
        if (seed / 4).isMultiple(of: 2) {
            try await crashEverywhere(&random, weather, &lives)
        } else {
            try await crashSomewhere(&random, weather, &lives)
        }
    }

    // MARK: Every call

    private func crashEverywhere(
        _ random: inout SplitMix, _ weather: Weather, _ lives: inout Lives
    ) async throws {
        let isFile = random.below(3) == 0
        var copy = MadeCopy(target: "/target", source: 0, &random)
        let source = TreeImage(&random, isFile: isFile)
        if random.below(3) == 0 { copy.before = source.earlier }
        let first = CopyLife([source], [copy], weather, mistake)
        try await lives.live("set-up", Lives.Conditions(seed: random.next())) { _ in try await first.prepare() }
        let (disk, seed) = (lives.disk, random.next())
        for call in 1... {
            lives.disk = disk
            let record = CopyLife([source], first.copies, weather, mistake)
            let conditions = Lives.Conditions(
                seed: seed, crash: SimulatedCrash(beforeCall: call, rules: weather.rules), faults: weather.faults)
            let end = try await lives.live("power loss before call \(call)", conditions) { simulation in
                try await record.copyAll(simulation)
                simulation.crash(weather.rules)
            }
            try await check(record, &lives, random.next(), "power loss before call \(call), \(copy.options)")
            if end.callCount < call { break }
        }
    }

    private func check(_ record: CopyLife, _ lives: inout Lives, _ seed: UInt64, _ title: String) async throws {
        if let violation = record.violation { throw Violation("\(title): \(violation)") }
        try await lives.live("check", Lives.Conditions(seed: seed)) { _ in
            try await record.check(afterCrash: true)
        }
        if let violation = record.violation { throw Violation("\(title): \(violation)") }
        lives.add(checks: record.checkCount)
    }

    // MARK: Some calls

    private func crashSomewhere(
        _ random: inout SplitMix, _ weather: Weather, _ lives: inout Lives
    ) async throws {
        let isLarge = random.below(16) == 0
        let sources = [
            TreeImage(&random, isLarge: isLarge), TreeImage(&random, isFile: true), TreeImage(&random, isFile: true),
        ]
        var record = CopyLife(sources, [], weather, mistake)
        try await lives.live("set-up", Lives.Conditions(seed: random.next())) { [record] _ in
            try await record.prepare()
        }
        for life in 1...3 {
            var copies = record.copies
            for index in sources.indices {
                copies.append(MadeCopy(target: "/target\(life)-\(index)", source: index, &random))
            }
            record = CopyLife(sources, copies, weather, mistake)
            let crash = SimulatedCrash(beforeCall: random.below(300) + 1, rules: weather.rules)
            let conditions = Lives.Conditions(seed: random.next(), crash: crash, faults: weather.faults)
            try await lives.live("life \(life)", conditions) { [record] simulation in
                try await record.copyAll(simulation)
                simulation.crash(weather.rules)
            }
            try await check(record, &lives, random.next(), "life \(life)")
        }
    }
}

/// A copy of a history, and how far it came.
struct MadeCopy: Sendable {
    struct Options: Sendable {
        var keepsMetadata: Bool
        var sharesBlocks: Bool
        var depth: Int
    }

    let target: String
    /// The number of the source.
    let source: Int
    let options: Options
    /// What is at the target before.
    var before = TreeImage()
    /// Whether it was begun, and whether it has returned without a failure.
    var isBegun = false
    var isDone = false
    /// Whether a loss of power ended it, and so may have left temporary files.
    var isInterrupted = false

    init(target: String, source: Int, _ random: inout SplitMix) {
        self.target = target
        self.source = source
        options = Options(
            keepsMetadata: random.below(4) > 0, sharesBlocks: random.below(2) == 0, depth: 1 + random.below(8))
    }
}

extension TreeImage {
    /// What a target may contain before the copy: some names of the source with another content, and one of its own.
    var earlier: TreeImage {
        var result = TreeImage()
        let old: [UInt8] = [UInt8](repeating: 9, count: 5000)
        for (path, entry) in entries {
            if entry.kind == .directory { result.entries[path] = entry }
            guard entry.isFile, path == "" || path == "a" || path == "d/c" else { continue }
            var before = entry
            (before.kind, before.note, before.firstName) = (.file(old + Array(path.utf8)), [8], nil)
            result.entries[path] = before
        }
        if var root = entries[""], root.kind == .directory {
            (root.kind, root.permissions) = (.file([1]), 0o604)
            result.entries["own"] = root
        }
        return result
    }
}
