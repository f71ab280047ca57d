import Synchronization
import Testing
import UnitSupport

@testable import AIOCore

@Suite struct SlotPoolTests {
    @Test func everySlotIsHandedOutOnce() {
        let pool = SlotPool(capacity: 100)
        let slots = (0..<100).compactMap { _ in pool.pop() }
        let next = pool.pop()
        #expect(Set(slots) == Set(0..<100))
        #expect(next == nil)
    }

    @Test func theSlotGivenBackLastIsHandedOutFirst() {
        let pool = SlotPool(capacity: 3)
        let slots = (0..<3).compactMap { _ in pool.pop() }
        pool.push(slots[1])
        pool.push(slots[0])
        let again = [pool.pop(), pool.pop(), pool.pop()]
        #expect(again == [slots[0], slots[1], nil])
    }

    @Test func aPoolOfOneHandsItsSlotOutAgainAndAgain() {
        let pool = SlotPool(capacity: 1)
        for _ in 0..<1000 {
            let slot = pool.pop()
            let none = pool.pop()
            #expect(slot == 0)
            #expect(none == nil)
            pool.push(0)
        }
    }

    /// More threads than slots, so that pops and pushes of the same slot collide (ABA).
    @Test func noTwoThreadsHaveTheSameSlot() {
        final class Shared: @unchecked Sendable {
            // @unchecked: the code under test is thread-safe.
            let pool = SlotPool(capacity: 3)
            let isTaken: [3 of Atomic<Bool>] = [Atomic(false), Atomic(false), Atomic(false)]
            let collisions = Atomic<Int>(0)
            let turns = Atomic<Int>(0)
        }
        let shared = Shared()
        onThreads(4) { _ in
            for _ in 0..<20_000 {
                guard let slot = shared.pool.pop() else { continue }
                if shared.isTaken[Int(slot)].exchange(true, ordering: .relaxed) {
                    shared.collisions.add(1, ordering: .relaxed)
                }
                shared.turns.add(1, ordering: .relaxed)
                shared.isTaken[Int(slot)].store(false, ordering: .relaxed)
                shared.pool.push(slot)
            }
        }
        let left = (0..<4).compactMap { _ in shared.pool.pop() }
        #expect(shared.collisions.load(ordering: .relaxed) == 0)
        #expect(shared.turns.load(ordering: .relaxed) > 0)
        #expect(left.sorted() == [0, 1, 2])
    }

    /// The next owner of a slot sees the writes of the previous one. The memory is plain, so that ThreadSanitizer
    /// checks this.
    @Test func aSlotCarriesWhatItsLastOwnerWrote() {
        final class Shared: @unchecked Sendable {
            // @unchecked: `counts` is accessed only by the owner of the slot.
            let pool = SlotPool(capacity: 2)
            let counts = UnsafeMutablePointer<Int>.allocate(capacity: 2)
            let turns = Atomic<Int>(0)
            init() { counts.initialize(repeating: 0, count: 2) }
            deinit { counts.deallocate() }
        }
        let shared = Shared()
        onThreads(4) { _ in
            for _ in 0..<20_000 {
                guard let slot = shared.pool.pop() else { continue }
                shared.counts[Int(slot)] += 1
                shared.pool.push(slot)
                shared.turns.add(1, ordering: .relaxed)
            }
        }
        #expect(shared.counts[0] + shared.counts[1] == shared.turns.load(ordering: .relaxed))
    }
}
