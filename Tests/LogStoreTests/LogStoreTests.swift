import AIO
import AIOSimulation
import CrashSimulation
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

    /// Histories of three lives, under both rules, half of them with failing syncs.
    @Test(arguments: 0..<3 as Range<UInt64>) func nothingAcknowledgedIsLost(block: UInt64) async throws {
        let failure = try await StoreHistory().firstFailure(in: (block * 60 + 1)...(block * 60 + 60))
        #expect(failure == nil)
    }

    @Test(arguments: [
        Shortcuts.noSync, .syncBeforeWrite, .noDirectorySync, .noChecksum, .failedSyncIgnored,
    ])
    func aStoreThatIsWrongIsCaught(_ shortcut: Shortcuts) async throws {
        let failure = try await StoreHistory(shortcut).firstFailure(in: 1...1000)
        let caught = try #require(failure, "mistake \(shortcut.rawValue) is not caught")
        print("mistake \(shortcut.rawValue) of the store is caught: \(caught)")
    }
}
