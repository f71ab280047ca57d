import QueueSimulation
import Testing

/// A queue, and a loop, over an engine that completes what it has in any way that the contract allows, against a model
/// of what they promise. `swift run -c release queue-simulation` takes more seeds.
@Suite struct QueueSimulationTests {
    private static let blocks = 0..<4 as Range<UInt64>

    @Test(arguments: blocks)
    func aQueueKeepsItsPromisesHoweverItsEngineCompletes(_ block: UInt64) throws {
        var runs = SimulationRuns()
        for seed in block * 1000..<(block + 1) * 1000 {
            let failure = runs.runQueue(seed, steps: 1000)
            try #require(failure == nil, "\(failure.map(\.description) ?? "")")
        }
        // A run in which something never happens proves nothing about it.
        for (name, count) in runs.coverage.counts { #expect(count > 0, "\(name)") }
    }

    @Test(arguments: blocks)
    func aLoopKeepsItsPromisesWhateverOtherThreadsDo(_ block: UInt64) throws {
        var runs = SimulationRuns()
        for seed in block * 50..<(block + 1) * 50 {
            let failure = runs.runLoop(seed, steps: 300)
            try #require(failure == nil, "\(failure.map(\.description) ?? "")")
        }
    }

    @Test func aSeedRepeatsExactly() {
        for seed in 1...50 as ClosedRange<UInt64> {
            let story = SimulationRuns.story(of: seed, steps: 500)
            #expect(story.count > 1000)
            #expect(story == SimulationRuns.story(of: seed, steps: 500))
        }
    }
}
