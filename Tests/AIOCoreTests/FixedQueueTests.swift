import Testing

@testable import AIOCore

@Suite struct FixedQueueTests {
    @Test func elementsLeaveInTheOrderInWhichTheyCame() {
        var queue = FixedQueue<Int>(capacity: 4)
        for element in 1...4 { queue.append(element) }
        let popped = (1...4).map { _ in queue.popFirst() }
        #expect(popped == [1, 2, 3, 4])
    }

    @Test func popFromAnEmptyQueueIsNil() {
        var queue = FixedQueue<Int>(capacity: 1)
        let before = queue.popFirst()
        queue.append(1)
        _ = queue.popFirst()
        let after = queue.popFirst()
        #expect(before == nil)
        #expect(after == nil)
        let isEmpty = queue.isEmpty
        #expect(isEmpty)
    }

    @Test func orderHoldsWhereTheRingWrapsAround() {
        var queue = FixedQueue<Int>(capacity: 3)
        var next = 0
        var expected = 0
        for _ in 0..<100 {
            for _ in 0..<3 {
                queue.append(next)
                next += 1
            }
            let count = queue.count
            #expect(count == 3)
            for _ in 0..<3 {
                let popped = queue.popFirst()
                #expect(popped == expected)
                expected += 1
            }
        }
    }

    @Test(arguments: [1, 2, 3, 5, 64, 100])
    func holdsAtLeastItsCapacity(_ capacity: Int) {
        var queue = FixedQueue<Int>(capacity: capacity)
        for element in 0..<capacity { queue.append(element) }
        let count = queue.count
        #expect(count == capacity)
        let first = queue.popFirst()
        #expect(first == 0)
    }

    /// An overwritten completion would be an operation that never ends, so the program ends instead.
    @Test func moreThanItHoldsEndsTheProgram() async {
        await #expect(processExitsWith: .failure) {
            var queue = FixedQueue<Int>(capacity: 4)
            for element in 0...4 { queue.append(element) }
        }
    }
}
