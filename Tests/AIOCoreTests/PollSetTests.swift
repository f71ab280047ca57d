import CKernel
import Glibc
import Testing
import UnitSupport

@testable import AIOCore

@Suite struct PollSetTests {
    // MARK: Waiting

    @Test func aReadWaitsUntilThereIsData() {
        let set = TestedPollSet(capacity: 2)
        let pipe = DescriptorPair.pipe()
        #expect(set.read(0, pipe.first) == 0)
        set.poll()
        #expect(set.completed == [:])
        pipe.send([7])
        set.poll()
        #expect(set.completed == [0: 1])
        #expect(set.memory[0] == 7)
        #expect(set.waiterCount == 0)
    }

    @Test func aWriteWaitsUntilThereIsRoom() {
        let set = TestedPollSet(capacity: 1)
        let pipe = DescriptorPair.pipe(nonBlocking: true)
        let filled = fill(pipe.second)
        #expect(set.write(0, pipe.second) == 0)
        set.poll()
        #expect(set.completed == [:])
        drain(pipe.first, filled)
        set.poll()
        #expect(set.completed == [0: 1])
    }

    @Test func waitersOfOneDirectionAreServedInOrderAsFarAsTheDataGoes() {
        let set = TestedPollSet(capacity: 4)
        let pipe = DescriptorPair.pipe()
        for slot in [2, 0, 3, 1] as [UInt32] { #expect(set.read(slot, pipe.first) == 0) }
        pipe.send([10, 11])
        set.poll()
        #expect(set.completed == [2: 1, 0: 1])
        #expect([set.memory[2], set.memory[0]] == [10, 11])
        #expect(set.waiterCount == 2)
        pipe.send([12, 13])
        set.poll()
        #expect([set.memory[3], set.memory[1]] == [12, 13])
        #expect(set.waiterCount == 0)
    }

    /// A worker reads what can only be read by a call that may block, such as a terminal.
    @Test func noReaderOvertakesOneThatIsWithAWorker() throws {
        let set = TestedPollSet(capacity: 3)
        let terminal = try Terminal()
        for slot in [2, 0, 1] as [UInt32] { #expect(set.read(slot, terminal.program) == 0) }
        terminal.type("abc\n")
        set.poll()
        #expect(set.withWorkers == [2])
        terminal.type("def\n")
        set.poll()
        #expect(set.withWorkers == [2], "two readers of one terminal at a time")
        #expect(set.completed == [:])
    }

    @Test func aWaitingReadDoesNotHoldUpAWriteOnTheSameSocket() {
        let set = TestedPollSet(capacity: 2)
        let sockets = DescriptorPair.sockets()
        #expect(set.read(0, sockets.first) == 0)
        #expect(set.write(1, sockets.first) == 0)
        #expect(set.hasWaiters(sockets.first, .reading))
        #expect(set.hasWaiters(sockets.first, .writing))
        #expect(!set.hasWaiters(sockets.first, .polling))
        set.poll()
        #expect(set.completed == [1: 1])
        #expect(!set.hasWaiters(sockets.first, .writing))
        sockets.send([1])
        set.poll()
        #expect(set.completed == [1: 1, 0: 1])
    }

    @Test func severalPollsOfOneDescriptorAllHearOfAnEvent() {
        let set = TestedPollSet(capacity: 4)
        let sockets = DescriptorPair.sockets()
        #expect(set.add(0, .poll(Descriptor(sockets.first), events: CK_POLLIN), sockets.first, .polling) == 0)
        let either = CK_POLLIN | CK_POLLOUT
        #expect(set.add(1, .poll(Descriptor(sockets.first), events: either), sockets.first, .polling) == 0)
        #expect(set.add(2, .poll(Descriptor(sockets.first), events: CK_POLLIN), sockets.first, .polling) == 0)
        set.poll()
        #expect(set.completed == [1: Int32(CK_POLLOUT)])
        sockets.send([1])
        set.poll()
        #expect(set.completed == [1: Int32(CK_POLLOUT), 0: Int32(CK_POLLIN), 2: Int32(CK_POLLIN)])
    }

    @Test func theEndOfTheOtherSideEndsEveryWait() {
        let set = TestedPollSet(capacity: 3)
        let pipe = DescriptorPair.pipe()
        for slot in 0..<2 as Range<UInt32> { #expect(set.read(slot, pipe.first) == 0) }
        #expect(set.add(2, .poll(Descriptor(pipe.first), events: CK_POLLIN), pipe.first, .polling) == 0)
        pipe.closeSecond()
        set.poll()
        #expect(set.completed == [0: 0, 1: 0, 2: Int32(CK_POLLHUP)])
        #expect(set.waiterCount == 0)
    }

    @Test func aWriteToAPipeWithoutReaderFails() {
        signal(SIGPIPE, SIG_IGN)
        let set = TestedPollSet(capacity: 1)
        let pipe = DescriptorPair.pipe(nonBlocking: true)
        _ = fill(pipe.second)
        #expect(set.write(0, pipe.second) == 0)
        pipe.closeFirst()
        set.poll()
        #expect(set.completed == [0: -EPIPE])
    }

    // MARK: After waiting

    /// A descriptor stays registered after a wait as long as there is room.
    @Test func moreDescriptorsThanEntriesAreServedOneAfterTheOther() {
        let set = TestedPollSet(capacity: 3)
        let held = DescriptorPair.pipe()
        #expect(set.read(2, held.first) == 0)
        let pipes = (0..<7).map { _ in DescriptorPair.pipe() }
        for round in 0..<3 {
            for (index, pipe) in pipes.enumerated() {
                #expect(set.read(0, pipe.first) == 0)
                pipe.send([UInt8(10 * round + index)])
                set.poll()
                #expect(set.takeCompleted() == [0: 1])
                #expect(set.memory[0] == UInt8(10 * round + index))
            }
        }
        held.send([99])
        set.poll()
        #expect(set.completed == [2: 1])
        #expect(set.waiterCount == 0)
    }

    @Test func aDescriptorThatWasWaitedForMayNameAnotherFileLater() {
        let set = TestedPollSet(capacity: 2)
        let old = DescriptorPair.pipe()
        let new = DescriptorPair.pipe()
        let number = dup(old.first)
        #expect(set.read(0, number) == 0)
        old.send([1])
        set.poll()
        #expect(set.completed == [0: 1])
        #expect(dup2(new.first, number) == number)
        #expect(set.read(1, number) == 0)
        old.send([2])
        set.poll()
        #expect(set.completed == [0: 1])
        new.send([3])
        set.poll()
        #expect(set.completed == [0: 1, 1: 1])
        #expect(set.memory[1] == 3)
        close(number)
    }

    // MARK: Descriptors that cannot be polled

    @Test func aFileMayComeBackUnderItsNumberWhenNobodyWaitsForTheNextOneAnyMore() {
        let set = TestedPollSet(capacity: 2)
        let first = DescriptorPair.pipe()
        let second = DescriptorPair.pipe()
        let number = dup(first.first)
        defer { close(number) }
        #expect(set.read(0, number) == 0)
        first.send([1])
        set.poll()
        // The first file stays open, so epoll still has it registered under the number.
        _ = dup2(second.first, number)
        #expect(set.read(0, number) == 0)
        #expect(set.remove(0))
        _ = dup2(first.first, number)
        #expect(set.read(1, number) == 0)
        first.send([2])
        set.poll()
        #expect(set.completed == [0: 1, 1: 1])
        #expect(set.memory[1] == 2)
    }

    @Test func aRegularFileIsRefusedAndNothingOfItRemains() {
        let set = TestedPollSet(capacity: 1)
        let file = TemporaryFile([1])
        for _ in 0..<3 {
            #expect(set.read(0, file.descriptor) == -Int(EPERM))
            #expect(set.waiterCount == 0)
            #expect(!set.hasWaiters(file.descriptor, .reading))
        }
    }

    @Test func aDescriptorThatIsNotOpenIsRefused() {
        let set = TestedPollSet(capacity: 1)
        #expect(set.read(0, 1 << 20) == -Int(EBADF))
        #expect(set.read(0, -1) == -Int(EBADF))
        #expect(set.waiterCount == 0)
    }

    // MARK: Removing

    @Test func whatIsRemovedNeverCompletes() {
        let set = TestedPollSet(capacity: 3)
        let pipe = DescriptorPair.pipe()
        for slot in 0..<3 as Range<UInt32> { #expect(set.read(slot, pipe.first) == 0) }
        #expect(set.remove(1))
        #expect(!set.remove(1))
        pipe.send([1, 2, 3])
        set.poll()
        #expect(set.completed == [0: 1, 2: 1])
        #expect([set.memory[0], set.memory[2]] == [1, 2])
    }

    @Test func aStaleTokenRemovesNothing() {
        let set = TestedPollSet(capacity: 1)
        let pipe = DescriptorPair.pipe()
        #expect(set.read(0, pipe.first) == 0)
        #expect(!set.remove(0, generation: 1))
        #expect(set.remove(0))
    }

    @Test func aDescriptorMayBeWaitedForAgainAfterTheLastWaiterLeft() {
        let set = TestedPollSet(capacity: 1)
        let pipe = DescriptorPair.pipe()
        for _ in 0..<3 {
            #expect(set.read(0, pipe.first) == 0)
            #expect(set.remove(0))
        }
        #expect(set.read(0, pipe.first) == 0)
        pipe.send([1])
        set.poll()
        #expect(set.completed == [0: 1])
    }

    // MARK: Descriptors

    /// If a descriptor is closed under an operation, the operation ends with EBADF; it must not read the number's new
    /// file.
    @Test func anOperationOnAClosedDescriptorEndsWhenItsNumberIsUsedAgain() {
        let set = TestedPollSet(capacity: 4)
        let old = DescriptorPair.pipe()
        let new = DescriptorPair.pipe()
        let number = dup(old.first)
        #expect(set.read(0, number) == 0)
        #expect(set.read(1, number) == 0)
        // The file behind the descriptor is closed as well, and with it epoll's registration.
        old.closeFirst()
        #expect(dup2(new.first, number) == number)
        #expect(set.read(2, number) == 0)
        #expect(set.completed == [0: -EBADF, 1: -EBADF])
        new.send([5])
        set.poll()
        #expect(set.completed == [0: -EBADF, 1: -EBADF, 2: 1])
        #expect(set.memory[2] == 5)
        close(number)
    }

    /// Buckets are chosen by number; these numbers share one.
    @Test func descriptorsThatShareABucketAreKeptApart() {
        let capacity = 4
        let set = TestedPollSet(capacity: capacity)
        let pipes = (0..<capacity).map { _ in DescriptorPair.pipe() }
        // Numbers from a range that nothing else uses: parallel tests take the lowest free ones.
        let numbers = (0..<capacity).map { index in dup2(pipes[index].first, Int32(900 + index * capacity)) }
        defer { for number in numbers { close(number) } }
        #expect(Set(numbers.map { $0 % Int32(capacity) }).count == 1)
        for (slot, number) in numbers.enumerated() { #expect(set.read(UInt32(slot), number) == 0) }
        for slot in [2, 0] as [UInt32] { #expect(set.remove(slot)) }
        #expect(set.read(2, numbers[2]) == 0)
        for index in [3, 1, 2] {
            pipes[index].send([UInt8(index)])
            set.poll()
            #expect(set.memory[index] == UInt8(index))
        }
        #expect(set.completed == [3: 1, 1: 1, 2: 1])
    }

    /// A random number of descriptors and waiters up to the capacity. At the end every waiter has been served.
    @Test func everySequenceServesEveryWaiterOnce() throws {
        var random = SeededGenerator("PollSet")
        let capacity = 24
        let set = TestedPollSet(capacity: capacity)
        let pipes = (0..<7).map { _ in DescriptorPair.pipe(nonBlocking: true) }
        // The waiting slots of each pipe, in order.
        var waiting = [[UInt32]](repeating: [], count: pipes.count)
        for _ in 0..<3_000 {
            let index = Int.random(in: 0..<pipes.count, using: &random)
            let slot = UInt32.random(in: 0..<UInt32(capacity), using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0, 1:
                guard !waiting.contains(where: { $0.contains(slot) }) else { break }
                try #require(set.read(slot, pipes[index].first) == 0)
                waiting[index].append(slot)
            case 2:
                let place = waiting.firstIndex { $0.contains(slot) }
                try #require(set.remove(slot) == (place != nil))
                if let place { waiting[place].removeAll { $0 == slot } }
            default:
                let served = waiting[index].prefix(2)
                pipes[index].send([UInt8](repeating: UInt8(index), count: served.count))
                set.poll()
                try #require(set.takeCompleted() == Dictionary(uniqueKeysWithValues: served.map { ($0, 1) }))
                waiting[index].removeFirst(served.count)
            }
            try #require(set.waiterCount == waiting.reduce(0) { $0 + $1.count })
        }
    }

    // MARK: Pipes

    private func fill(_ writer: Int32) -> Int {
        let block = [UInt8](repeating: 0, count: 4096)
        var total = 0
        while true {
            let written = Glibc.write(writer, block, block.count)
            guard written > 0 else { return total }
            total += written
        }
    }

    private func drain(_ reader: Int32, _ count: Int) {
        var block = [UInt8](repeating: 0, count: count)
        var total = 0
        while total < count {
            let read = Glibc.read(reader, &block, count - total)
            guard read > 0 else { return }
            total += read
        }
    }
}

/// A poll set with an epoll and the state that the engine would have, with a byte of memory per slot.
private final class TestedPollSet {
    private let epoll: OwnedEpoll
    private var pollSet: PollSet
    private var completions: FixedQueue<Completion>
    private var outgoing: FixedQueue<WorkItem>
    let memory: UnsafeMutablePointer<UInt8>
    /// Results by slot.
    private(set) var completed: [UInt32: Int32] = [:]
    /// The slots of what was to be sent to workers, in order. Nothing executes it.
    private(set) var withWorkers: [UInt32] = []

    init(capacity: Int) {
        do throws(EngineFailure) { epoll = try OwnedEpoll(.threads) } catch { fatalError("no epoll: \(error)") }
        pollSet = PollSet(epoll, capacity: capacity)
        completions = FixedQueue(capacity: capacity)
        outgoing = FixedQueue(capacity: capacity)
        memory = .allocate(capacity: capacity)
        memory.initialize(repeating: 0, count: capacity)
    }

    deinit {
        memory.deallocate()
    }

    var waiterCount: Int { pollSet.waiterCount }

    func hasWaiters(_ descriptor: Int32, _ interest: Interest) -> Bool {
        pollSet.hasWaiters(descriptor, interest)
    }

    func add(_ slot: UInt32, _ operation: AIOCore.Operation, _ descriptor: Int32, _ interest: Interest) -> Int {
        let token = Token(slot: slot, generation: 0)
        let result = pollSet.add(operation, token, descriptor, interest, completed: &completions)
        collect()
        return result
    }

    func read(_ slot: UInt32, _ descriptor: Int32) -> Int {
        add(slot, .read(transfer(slot, descriptor)), descriptor, .reading)
    }

    func write(_ slot: UInt32, _ descriptor: Int32) -> Int {
        add(slot, .write(transfer(slot, descriptor)), descriptor, .writing)
    }

    private func transfer(_ slot: UInt32, _ descriptor: Int32) -> Transfer {
        Transfer(Descriptor(descriptor, kind: .stream), memory + Int(slot), count: 1, offset: 0)
    }

    func remove(_ slot: UInt32, generation: UInt32 = 0) -> Bool {
        pollSet.remove(Token(slot: slot, generation: generation))
    }

    /// Handles all pending events.
    func poll() {
        withUnsafeTemporaryAllocation(of: ck_epoll_event.self, capacity: 16) { events in
            while true {
                let count = Kernel.epollWait(epoll.number, events.baseAddress!, events.count, until: 0)
                guard count > 0 else { return }
                for event in events[..<count] {
                    guard case .index(let entry)? = epoll.entry(of: event) else { continue }
                    pollSet.handle(entry, event.events, completed: &completions, outgoing: &outgoing)
                }
                collect()
            }
        }
    }

    func takeCompleted() -> [UInt32: Int32] {
        defer { completed = [:] }
        return completed
    }

    private func collect() {
        while let item = outgoing.popFirst() { withWorkers.append(item.token.slot) }
        while let completion = completions.popFirst() {
            #expect(completed[completion.token.slot] == nil, "slot \(completion.token.slot) completed twice")
            completed[completion.token.slot] = completion.result
        }
    }
}
