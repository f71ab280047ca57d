import Testing

@testable import AIOSimulation

struct EventHeapTests {
    @Test func eventsHappenByTimeAndThenInTheOrderOfTheirInsertion() {
        var random = SimulatedRandom(seed: 1)
        var heap = EventHeap()
        var happened: [Int] = []
        let times = (0..<1000).map { _ in UInt64(random.below(50)) }
        for (number, time) in times.enumerated() { heap.insert(time) { happened.append(number) } }
        while let (_, action) = heap.popFirst() { action() }
        #expect(happened == times.indices.sorted { (times[$0], $0) < (times[$1], $1) })
    }
}
