import Testing

@testable import AIOCore

/// The gate lets so many operations on remote files into a ring, and the others in their order after them.
@Suite struct RemoteGateTests {
    private func token(_ slot: UInt32, _ generation: UInt32 = 0) -> Token { Token(slot: slot, generation: generation) }
    private let sync = Operation.sync(Descriptor(1), .full)

    @Test func noMoreThanTheLimitAreInside() {
        var gate = RemoteGate(limit: 2, capacity: 8)
        let entered = (0..<4).map { gate.enter(sync, token($0)) }
        let inside = gate.insideCount
        #expect(entered == [true, true, false, false])
        #expect(inside == 2)
    }

    @Test func whatWaitsEntersInItsOrder() {
        var gate = RemoteGate(limit: 1, capacity: 8)
        for slot in [5, 3, 7] as [UInt32] { _ = gate.enter(sync, token(slot)) }
        let second = gate.leave(token(5))?.1
        let third = gate.leave(token(3))?.1
        let insideWithTheThird = gate.insideCount
        let nobody = gate.leave(token(7))?.1
        let inside = gate.insideCount
        #expect(second == token(3))
        #expect(third == token(7))
        #expect(insideWithTheThird == 1)
        #expect(nobody == nil)
        #expect(inside == 0)
    }

    @Test func aPlaceIsGivenBackOnce() {
        var gate = RemoteGate(limit: 1, capacity: 8)
        _ = gate.enter(sync, token(0))
        _ = gate.enter(sync, token(1))
        _ = gate.enter(sync, token(2))
        let stranger = gate.leave(token(4))?.1
        let waiting = gate.leave(token(1))?.1
        let stale = gate.leave(token(0, 1))?.1
        let next = gate.leave(token(0))?.1
        let again = gate.leave(token(0))?.1
        #expect(stranger == nil, "it is not inside")
        #expect(waiting == nil, "it is still outside")
        #expect(stale == nil, "another operation of the slot")
        #expect(next == token(1))
        #expect(again == nil, "it has left")
    }

    @Test func whatWaitsCanBeTakenBackAndWhatIsInsideNot() {
        var gate = RemoteGate(limit: 1, capacity: 8)
        _ = gate.enter(sync, token(0))
        _ = gate.enter(sync, token(1))
        _ = gate.enter(sync, token(2))
        let inside = gate.remove(token(0))
        let stale = gate.remove(token(1, 1))
        let waiting = gate.remove(token(1))
        let again = gate.remove(token(1))
        let next = gate.leave(token(0))?.1
        #expect(!inside)
        #expect(!stale)
        #expect(waiting)
        #expect(!again)
        #expect(next == token(2))
    }

    @Test func anUnusedGateKnowsNoOperation() {
        var gate = RemoteGate(limit: 1, capacity: 8)
        let left = gate.leave(token(0))?.1
        let removed = gate.remove(token(0))
        #expect(left == nil)
        #expect(!removed)
    }
}
