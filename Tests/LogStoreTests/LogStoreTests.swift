import AIO
import AIOSimulation
import LogStore
import Testing

struct LogStoreTests {
    @Test func aValueIsThereAfterReopening() async throws {
        var options = SimulationOptions()
        options.keepsStory = true
        let report = try await simulate(seed: 1, options: options) { _ in
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
        print(report.story.joined(separator: "\n"))
        #expect(try report.result.get() == ["a": [3], "b": [2]])
    }
}
