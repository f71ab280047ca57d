import Testing
import UnitSupport

@testable import AIOCore

@Suite struct DeadlineHeapTests {
    @Test func withoutDeadlinesTheEarliestIsNever() {
        var heap = DeadlineHeap(capacity: 1)
        let earliest = heap.earliest
        let passed = heap.popPassed(.max)
        #expect(earliest == .never)
        #expect(passed == nil)
    }

    @Test func aDeadlinePassesWhenItsTimeHasCome() {
        var heap = DeadlineHeap(capacity: 1)
        heap.insert(0, 100)
        let before = heap.popPassed(99)
        let at = heap.popPassed(100)
        let after = heap.popPassed(101)
        #expect(before == nil)
        #expect(at == 0)
        #expect(after == nil, "it passes once")
    }

    @Test func theEarliestPassesFirst() {
        var heap = DeadlineHeap(capacity: 5)
        for (slot, deadline) in [50, 10, 40, 20, 30].enumerated() { heap.insert(UInt32(slot), Nanoseconds(deadline)) }
        let order = (0..<5).map { _ in heap.popPassed(100) }
        #expect(order == [1, 3, 4, 2, 0])
    }

    @Test func aDeadlineThatWasRemovedNeverPasses() {
        var heap = DeadlineHeap(capacity: 3)
        for slot in 0..<3 { heap.insert(UInt32(slot), Nanoseconds(slot)) }
        heap.remove(1)
        heap.remove(1)
        let order = (0..<3).map { _ in heap.popPassed(100) }
        #expect(order == [0, 2, nil])
    }

    @Test func aSlotMayHaveADeadlineAgainAfterItsFirstPassed() {
        var heap = DeadlineHeap(capacity: 1)
        heap.insert(0, 1)
        _ = heap.popPassed(1)
        heap.insert(0, 2)
        let earliest = heap.earliest
        #expect(earliest == 2)
    }

    /// Compares with a sorted array. There are few distinct deadlines, so that equal ones are common.
    @Test func everySequenceAgreesWithASortedModel() throws {
        var random = SeededGenerator("DeadlineHeap")
        let capacity = 40
        var heap = DeadlineHeap(capacity: capacity)
        var model: [UInt32: Nanoseconds] = [:]
        for _ in 0..<20_000 {
            let slot = UInt32.random(in: 0..<UInt32(capacity), using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0, 1, 2:
                guard model[slot] == nil else { break }
                let deadline = Nanoseconds.random(in: 0..<60, using: &random)
                heap.insert(slot, deadline)
                model[slot] = deadline
            case 3:
                heap.remove(slot)
                model[slot] = nil
            default:
                let now = Nanoseconds.random(in: 0..<60, using: &random)
                let popped = heap.popPassed(now)
                let earliest = model.values.min()
                guard let popped else {
                    try #require(earliest.map { $0 > now } ?? true)
                    break
                }
                try #require(model[popped] == earliest)
                model[popped] = nil
            }
            let (count, earliest) = (heap.count, heap.earliest)
            try #require(count == model.count)
            try #require(earliest == model.values.min() ?? .never)
        }
    }
}
