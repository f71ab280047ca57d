import Testing
import UnitSupport

@testable import AIOCore

@Suite struct WorkListTests {
    @Test func itemsLeaveInTheOrderInWhichTheyCame() {
        var list = TestedList(capacity: 4)
        for slot in [2, 0, 3, 1] { list.append(slot) }
        let popped = (0..<5).map { _ in list.popFirst() }
        #expect(popped == [2, 0, 3, 1, nil])
        let isEmpty = list.isEmpty
        #expect(isEmpty)
    }

    @Test(arguments: 0..<4)
    func anItemCanBeTakenOutAnywhere(_ removed: Int) {
        var list = TestedList(capacity: 4)
        for slot in 0..<4 { list.append(slot) }
        list.remove(removed)
        list.append(removed)
        let popped = (0..<4).map { _ in list.popFirst() }
        #expect(popped == (0..<4).filter { $0 != removed } + [removed])
    }

    @Test func anItemMayMoveFromOneListToAnother() {
        var first = TestedList(capacity: 2)
        first.append(0)
        first.append(1)
        var second = WorkList()
        if let slot = first.popFirst() { second.append(slot, first.items) }
        let moved = second.popFirst(first.items)
        let left = first.popFirst()
        #expect(moved == 0)
        #expect(left == 1)
    }

    @Test func everySequenceAgreesWithAnArray() throws {
        var random = SeededGenerator("WorkList")
        var list = TestedList(capacity: 16)
        var model: [Int] = []
        for _ in 0..<10_000 {
            let slot = Int.random(in: 0..<16, using: &random)
            switch (Int.random(in: 0..<3, using: &random), model.firstIndex(of: slot)) {
            case (0, _):
                let popped = list.popFirst()
                try #require(popped == (model.isEmpty ? nil : model.removeFirst()))
            case (_, let index?):
                list.remove(slot)
                model.remove(at: index)
            case (_, nil):
                list.append(slot)
                model.append(slot)
            }
            let count = list.count
            try #require(count == model.count)
        }
    }

    // MARK: Quick work and readahead

    private static func transfer(_ kind: Descriptor.Kind, offset: Int64 = 0, flags: TransferFlags = []) -> Transfer {
        Transfer(Descriptor(0, kind: kind), nil, count: 1, offset: offset, flags: flags)
    }

    private func isQuick(_ operation: Operation) -> Bool { WorkItem(operation, Token(slot: 0, generation: 0)).isQuick }

    @Test func bufferedReadsAndWritesAreQuick() {
        #expect(isQuick(.read(Self.transfer(.buffered))))
        #expect(isQuick(.readVectored(Self.transfer(.buffered))))
        #expect(isQuick(.write(Self.transfer(.buffered))))
        #expect(isQuick(.writeVectored(Self.transfer(.buffered))))
    }

    @Test(
        arguments: [
            .sync(Descriptor(0, kind: .buffered), .full), .nop, .close(0),
            .read(transfer(.direct)), .write(transfer(.direct)), .read(transfer(.stream)), .read(transfer(.other)),
            .write(transfer(.buffered, flags: .sync)), .write(transfer(.buffered, flags: .dataSync)),
            .writeVectored(transfer(.buffered, flags: [.dataSync, .append])),
        ] as [AIOCore.Operation])
    func whatWaitsForADeviceIsNotQuick(_ operation: AIOCore.Operation) {
        #expect(!isQuick(operation))
    }

    @Test func onlyBufferedReadsAtAnOffsetAreReadAhead() {
        #expect(ReadaheadRange(.read(Self.transfer(.buffered))) != nil)
        #expect(ReadaheadRange(.readVectored(Self.transfer(.buffered))) != nil)
        #expect(ReadaheadRange(.read(Self.transfer(.buffered, offset: Transfer.currentPosition))) == nil)
        #expect(ReadaheadRange(.write(Self.transfer(.buffered))) == nil)
        #expect(ReadaheadRange(.read(Self.transfer(.direct))) == nil)
        #expect(ReadaheadRange(.read(Self.transfer(.stream))) == nil)
        #expect(ReadaheadRange(.nop) == nil)
    }
}

/// A list together with the items that it links.
private struct TestedList: ~Copyable {
    private var list = WorkList()
    let items: UnsafeMutablePointer<WorkItem>

    init(capacity: Int) {
        items = .allocate(capacity: capacity)
        items.initialize(repeating: WorkItem(), count: capacity)
    }

    deinit { items.deallocate() }

    var count: Int { list.count }
    var isEmpty: Bool { list.isEmpty }
    mutating func append(_ slot: Int) { list.append(slot, items) }
    mutating func popFirst() -> Int? { list.popFirst(items) }
    mutating func remove(_ slot: Int) { list.remove(slot, items) }
}
