import AIO
import AIOSimulation
import LogStore
import UnitSupport

/// Several lives of one store, each ended by a loss of power at a random system call, and what must hold after each.
package struct StoreHistory: CrashHistory {
    private let shortcuts: Shortcuts
    /// How many lives; the last one is not cut short.
    private static let lifeCount = 3

    package init(_ shortcuts: Shortcuts = []) { self.shortcuts = shortcuts }

    static var mistakes: [(name: String, history: any CrashHistory)] {
        [
            ("noSync", StoreHistory(.noSync)), ("syncBeforeWrite", StoreHistory(.syncBeforeWrite)),
            ("noDirectorySync", StoreHistory(.noDirectorySync)), ("noChecksum", StoreHistory(.noChecksum)),
            ("failedSyncIgnored", StoreHistory(.failedSyncIgnored)),
        ]
    }

    package func run(_ seed: UInt64, _ lives: inout Lives) async throws {
        var random = SplitMix(seed)
        let weather = Weather(seed)
        var expectations = StoreExpectations()
        for life in 1...Self.lifeCount {
            let crash = SimulatedCrash(beforeCall: random.below(150) + 1, rules: weather.rules)
            let conditions = Lives.Conditions(
                seed: random.next(), crash: life < Self.lifeCount ? crash : nil, faults: weather.faults)
            let record = StoreLife(expectations)
            try await lives.live("life \(life)", conditions) { [shortcuts] simulation in
                try await record.live(simulation, shortcuts)
            }
            // What the store showed is checked, whatever happened to it afterwards.
            if let violation = record.violation { throw Violation("life \(life): \(violation)") }
            lives.add(checks: record.checkCount)
            expectations = record.expectations
        }
    }
}

/// By key, which values the store may show.
struct StoreExpectations: Sendable {
    struct Key: Sendable {
        /// The number of the last value that was acknowledged or shown; 0 for none.
        var durable = 0
        /// The number of the last value that was submitted.
        var submitted = 0
    }

    var keys = (0..<4).map { _ in Key() }

    /// A value's bytes tell its key and its number, throughout.
    static func value(_ key: Int, _ number: Int) -> [UInt8] {
        let size = 8 + (number &* 7919 &+ key &* 104_729) % 3000
        return (0..<size).map { UInt8(truncatingIfNeeded: number &* 31 &+ key &* 17 &+ $0 &* (number | 1)) }
    }

    /// What is wrong with a value that the store shows; if nothing is, it is durable from now on.
    mutating func check(_ key: Int, _ bytes: [UInt8]?) -> String? {
        let range = keys[key].durable...keys[key].submitted
        guard let bytes else {
            return range.lowerBound == 0 ? nil : "key \(key) is lost: value \(range.lowerBound) was acknowledged"
        }
        guard let number = range.first(where: { $0 > 0 && Self.value(key, $0) == bytes }) else {
            return "key \(key) has \(bytes.count) bytes that are none of its values \(range)"
        }
        keys[key].durable = number
        return nil
    }
}

/// What one life of the store did and saw.
private final class StoreLife: @unchecked Sendable {
    // @unchecked: the simulation's thread uses it, and the history afterwards.
    private(set) var expectations: StoreExpectations
    private(set) var violation: String?
    /// The values that were looked at, and those that were acknowledged.
    private(set) var checkCount = 0

    init(_ expectations: StoreExpectations) { self.expectations = expectations }

    func live(_ simulation: Simulation, _ shortcuts: Shortcuts) async throws {
        let store = try await LogStore.open("/data", shortcuts)
        for key in expectations.keys.indices {
            let value = await store["key\(key)"]
            violation = violation ?? expectations.check(key, value)
            checkCount += 1
        }
        guard violation == nil else { return try await store.close() }
        do { try await work(simulation, store) } catch {
            try? await store.close()
            throw error
        }
        try await store.close()
    }

    /// Each key has one writer, and sometimes there is a checkpoint.
    private func work(_ simulation: Simulation, _ store: LogStore) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for key in expectations.keys.indices {
                group.addTask { try await self.put(key, store, simulation.random(in: 1..<8)) }
            }
            group.addTask {
                for _ in 0..<simulation.random(in: 0..<3) {
                    try await Task.sleep(for: .microseconds(simulation.random(in: 0..<300)))
                    try await store.checkpoint()
                }
            }
            try await group.waitForAll()
        }
    }

    private func put(_ key: Int, _ store: LogStore, _ count: Int) async throws {
        for _ in 0..<count {
            expectations.keys[key].submitted += 1
            let number = expectations.keys[key].submitted
            try await store.put("key\(key)", StoreExpectations.value(key, number))
            expectations.keys[key].durable = number
            checkCount += 1
        }
    }
}
