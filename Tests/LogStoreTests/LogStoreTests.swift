import AIO
import AIOSimulation
import LogStore
import Testing

struct LogStoreTests {
    @Test func aValueIsThereAfterReopening() async throws {
        let state = try await withSimulation(seed: 1) { _ in
            let store = try await LogStore.open("/data")
            try await store.put("a", [1])
            try await store.put("b", [2])
            try await store.checkpoint()
            try await store.put("a", [3])
            try await store.close()
            let again = try await LogStore.open("/data")
            let state = await again.state
            try await again.close()
            return state
        }
        #expect(state == ["a": [3], "b": [2]])
    }

    @Test(arguments: [SimulatedCrash.Rules.posix, .ordered])
    func nothingAcknowledgedIsLostInACrash(rules: SimulatedCrash.Rules) async throws {
        for seed in UInt64(1)...60 {
            let violation = try await StoreLives(seed: seed, rules: rules).violation()
            #expect(violation == nil, "seed \(seed)")
            if violation != nil { break }
        }
    }

    static let failingSyncs = [SimulatedFault(.error(Errno(rawValue: 5)), .oneIn(15), of: "fdatasync")]

    @Test func nothingAcknowledgedIsLostIfSyncsFail() async throws {
        for seed in UInt64(1)...60 {
            let violation = try await StoreLives(seed: seed, faults: Self.failingSyncs).violation()
            #expect(violation == nil, "seed \(seed)")
            if violation != nil { break }
        }
    }

    @Test(arguments: [
        Shortcuts.noSync, .syncBeforeWrite, .noDirectorySync, .noChecksum, .failedSyncIgnored,
    ])
    func aStoreThatIsWrongIsCaught(_ shortcut: Shortcuts) async throws {
        let faults = shortcut == .failedSyncIgnored ? Self.failingSyncs : []
        for seed in UInt64(1)...600 {
            let violation = try await StoreLives(seed: seed, shortcuts: shortcut, faults: faults).violation()
            guard let violation else { continue }
            print("mistake \(shortcut.rawValue) is caught with seed \(seed): \(violation)")
            return
        }
        Issue.record("mistake \(shortcut.rawValue) is not caught within 1000 seeds")
    }
}
