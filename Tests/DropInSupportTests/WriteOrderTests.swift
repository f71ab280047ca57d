import Testing
import UnitSupport

/// What `WriteOrder` needs of the library's record.
struct Record {
    var place = WriteOrder.Place()
}

@Suite struct WriteOrderTests {
    @Test func aSyncWaitsForTheWritesBeforeItAndForNoneAfterIt() {
        var order = WriteOrder()
        let records = Records(4)
        order.begin(write: records[0])
        let waits = order.wait(sync: records[1])
        order.begin(write: records[2])
        let waitsToo = order.wait(sync: records[3])
        let early = order.popReadySync()
        order.end(write: records[0])
        let first = [order.popReadySync(), order.popReadySync()]
        order.end(write: records[2])
        let second = order.popReadySync()
        #expect(waits && waitsToo)
        #expect(early == nil)
        #expect(first == [records[1], nil])
        #expect(second == records[3])
    }

    @Test func withoutWritesASyncDoesNotWait() {
        var order = WriteOrder()
        let waits = order.wait(sync: Records(1)[0])
        #expect(!waits)
        #expect(!order.hasReadySync)
    }

    /// Any sequence of begins, ends and syncs against what the order promises.
    @Test(arguments: 0..<50) func randomSequencesKeepTheOrder(_ seed: UInt64) {
        var random = SplitMix(seed)
        var order = WriteOrder()
        let records = Records(200)
        var writes: [Int] = []
        var syncs: [(sync: Int, after: [Int])] = []
        for next in 0..<200 {
            switch random.below(3) {
            case 0:
                order.begin(write: records[next])
                writes.append(next)
            case 1:
                let waits = order.wait(sync: records[next])
                #expect(waits == !writes.isEmpty)
                if !writes.isEmpty { syncs.append((next, writes)) }
            default:
                guard !writes.isEmpty else { continue }
                let ended = writes.remove(at: random.below(writes.count))
                order.end(write: records[ended])
                for index in syncs.indices { syncs[index].after.removeAll { $0 == ended } }
            }
            while let first = syncs.first, first.after.isEmpty {
                let popped = order.popReadySync()
                #expect(popped == records[first.sync])
                syncs.removeFirst()
            }
            let none = order.popReadySync()
            #expect(none == nil)
            #expect(order.hasWrites == !writes.isEmpty)
        }
    }
}

/// Records at fixed addresses.
private final class Records {
    private let base: UnsafeMutablePointer<Record>

    init(_ count: Int) {
        base = .allocate(capacity: count)
        base.initialize(repeating: Record(), count: count)
    }

    deinit { base.deallocate() }

    subscript(index: Int) -> WriteOrder.Pointer { base + index }
}
