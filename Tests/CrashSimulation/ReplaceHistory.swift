import AIO
import AIOSimulation
import UnitSupport

/// Replacements of files, and losses of power. Half of the seeds choose a single replacement, and lose power before
/// each of its system calls in turn; for the others several tasks replace files in each of several lives.
package struct ReplaceHistory: CrashHistory {
    private let mistake: ReplaceMistake?

    package init(_ mistake: ReplaceMistake? = nil) { self.mistake = mistake }

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
        let (way, exists) = (ReplaceWay(&random), random.below(3) > 0)
        let first = ReplaceLife([ReplacedFile("file", exists: exists)], weather, mistake)
        try await lives.live("set-up", Lives.Conditions(seed: random.next())) { _ in try await first.prepare() }
        let (disk, seed) = (lives.disk, random.next())
        for call in 1... {
            lives.disk = disk
            let record = ReplaceLife(first.files, weather, mistake)
            let conditions = Lives.Conditions(
                seed: seed, crash: SimulatedCrash(beforeCall: call, rules: weather.rules), faults: weather.faults)
            let end = try await lives.live("power loss before call \(call)", conditions) { simulation in
                try? await record.replace(0, way, simulation)
                simulation.crash(weather.rules)
            }
            try await check(record, &lives, random.next(), "power loss before call \(call), \(way)")
            if end.callCount < call { break }
        }
    }

    private func check(_ record: ReplaceLife, _ lives: inout Lives, _ seed: UInt64, _ title: String) async throws {
        if let violation = record.violation { throw Violation("\(title): \(violation)") }
        try await lives.live("check", Lives.Conditions(seed: seed)) { _ in try await record.check() }
        if let violation = record.violation { throw Violation("\(title): \(violation)") }
        lives.add(checks: record.checkCount)
    }

    // MARK: Some calls

    private func crashSomewhere(
        _ random: inout SplitMix, _ weather: Weather, _ lives: inout Lives
    ) async throws {
        let files = (0..<3).map { ReplacedFile("file\($0)", exists: $0 > 0) }
        var record = ReplaceLife(files, weather, mistake)
        try await lives.live("set-up", Lives.Conditions(seed: random.next())) { [record] _ in
            try await record.prepare()
        }
        for life in 1...3 {
            record = ReplaceLife(record.files, weather, mistake)
            let crash = SimulatedCrash(beforeCall: random.below(200) + 1, rules: weather.rules)
            let conditions = Lives.Conditions(seed: random.next(), crash: crash, faults: weather.faults)
            try await lives.live("life \(life)", conditions) { [record] simulation in
                try await record.replaceAll(simulation)
                simulation.crash(weather.rules)
            }
            try await check(record, &lives, random.next(), "life \(life)")
        }
    }
}

/// One file of a history, and which contents it may have.
struct ReplacedFile: Sendable {
    struct Attributes: Sendable, Hashable {
        var permissions: UInt16
        var user: UInt32
        var note: [UInt8]?
    }

    let name: String
    /// The version that is durable; 0 if there may be no file.
    var oldest: Int
    /// The version that was begun last.
    var newest: Int
    /// Whether a version may be there that was not synced, and so any content.
    var mayBeTorn = false
    /// Those of the file in memory, which every replacement keeps.
    var attributes: Attributes
    /// Whether they are durable with each version that may be there.
    var hasDurableAttributes = true

    init(_ name: String, exists: Bool) {
        self.name = name
        (oldest, newest) = exists ? (1, 1) : (0, 0)
        attributes =
            exists
            ? Attributes(permissions: 0o640, user: 1000, note: [1, 2, 3])
            : Attributes(permissions: 0o644, user: 0, note: nil)
    }

    var path: Path { Path("/data/\(name)") }
    /// A symbolic link to the file.
    var link: Path { Path("/\(name)-link") }

    func content(_ version: Int) -> [UInt8] {
        let size = 1 + (version &* 7919 &+ name.utf8.count &* 104_729) % 9000
        return (0..<size).map { UInt8(truncatingIfNeeded: version &* 31 &+ $0 &* (2 * version + 1)) }
    }

    // MARK: What happens to it

    mutating func begin(_ way: ReplaceWay, _ rules: SimulatedCrash.Rules) {
        newest += 1
        if way.durability == .none { mayBeTorn = true }
        // fdatasync(2) saves no attributes. A journal has them before the name.
        if way.durability != .full, rules == .posix { hasDurableAttributes = false }
    }

    mutating func succeed(_ way: ReplaceWay) {
        if way.durability == .full { hasDurableAttributes = true }
        guard way.durability == .full || way.syncsDirectory && way.durability == .data else { return }
        oldest = newest
        mayBeTorn = false
    }

    /// What is wrong with what is there after a loss of power; if nothing is, it is durable now.
    mutating func check(_ found: (content: [UInt8], attributes: Attributes)?) -> String? {
        guard let found else {
            guard oldest == 0 else { return "\(name) is gone: version \(oldest) was durable" }
            return nil
        }
        let version = (max(oldest, 1)...max(newest, 1)).last { content($0) == found.content }
        guard version != nil || mayBeTorn else {
            return "\(name) has \(found.content.count) bytes that are none of its versions \(oldest)...\(newest)"
        }
        if hasDurableAttributes, found.attributes != attributes {
            return "\(name) has \(found.attributes), not \(attributes)"
        }
        if found.attributes.permissions & ~attributes.permissions != 0 {
            return "\(name) has the permissions \(String(found.attributes.permissions, radix: 8)) after a loss of power"
        }
        (attributes, hasDurableAttributes) = (found.attributes, true)
        if let version { (oldest, mayBeTorn) = (version, false) }
        return nil
    }
}
