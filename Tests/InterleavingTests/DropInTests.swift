import Testing

@Suite struct DropInInterleavings {
    /// io_getevents(2) for one event after the other, against those who publish them: `Reaping.sleepsForNews` and
    /// `Context.finishPublishing` over the real waiters and the real word.
    @Test(arguments: [Rules.Memory.sequentiallyConsistent, .weak], [1, 2])
    func aThreadThatWaitsForEventsIsWokenForEach(_ memory: Rules.Memory, _ reaperCount: Int) {
        explore("libaio, \(reaperCount) reapers", Rules(memory: memory)) { execution in
            let context = ReapedContext()
            for reaper in 0..<reaperCount {
                execution.addThread("reaper \(reaper)") {
                    for call in 0..<(2 / reaperCount) {
                        execution.forget(UInt64(call))
                        context.reap()
                    }
                }
            }
            for name in ["publisher 0", "publisher 1"] { execution.addThread(name) { context.publish() } }
            execution.atEnd = { execution.check(context.eventCount == 0, "events are left") }
        }
    }

    /// One call that wants two events at once.
    @Test func aThreadThatWaitsForTwoEventsIsWoken() {
        explore("libaio, two events") { execution in
            let context = ReapedContext()
            execution.addThread("reaper") { context.reap(2) }
            for name in ["publisher 0", "publisher 1"] { execution.addThread(name) { context.publish() } }
            execution.atEnd = { execution.check(context.eventCount == 0, "events are left") }
        }
    }

    /// aio_suspend(3) of two threads that share a place, each for a request of its own.
    @Test func threadsAtOnePlaceAreWokenForTheirRequests() {
        explore("POSIX AIO, one place") { execution in
            guard let suspension = Suspension() else { return execution.fail("no memory") }
            let turn = suspension.turn()
            for number in 0..<2 {
                let isPending = Place<Bool>(true)
                let waiters = Place<UInt64>(0)
                execution.addThread("waiter \(number)") {
                    while true {
                        let ticket = turn.ticket()
                        guard isPending.value.load(ordering: .sequentiallyConsistent) else { break }
                        waiters.value.bitwiseOr(turn.bit, ordering: .sequentiallyConsistent)
                        guard isPending.value.load(ordering: .sequentiallyConsistent) else { break }
                        _ = Kernel.futexWait(turn.word, while: ticket, until: .never)
                    }
                }
                execution.addThread("completer \(number)") {
                    isPending.value.store(false, ordering: .sequentiallyConsistent)
                    suspension.wake(waiters.value.load(ordering: .sequentiallyConsistent))
                }
            }
        }
    }

    /// Operations that share a duplicate of a file, or have one of their own: none is closed in use, and none is left.
    @Test func aDuplicateIsClosedByItsLastUser() {
        explore("holds by duplicates") { execution in
            let table = DescriptorTable()
            DescriptorTable.current = table
            let holds = DuplicateFileHolds()
            for name in ["one", "two"] {
                execution.addThread(name) {
                    let held: Descriptor
                    if let (joined, _) = holds.join(3) {
                        held = joined
                    } else if case .held(let made) = holds.hold(Descriptor(3), FileIdentity()) {
                        held = made
                    } else {
                        return execution.fail("the file is not held")
                    }
                    execution.check(table.isOpen(held.number), "use after close")
                    execution.point()
                    execution.check(table.isOpen(held.number), "the duplicate is closed in use")
                    holds.release(held)
                }
            }
            execution.atEnd = { execution.check(table.openCount == 0, "a duplicate leaks") }
        }
    }

    /// Places of a ring's table of registered files.
    @Test func aPlaceOfTheRingHasOneFile() {
        explore("holds by a ring") { execution in
            guard let holds = RingFileHolds(Ring(), capacity: 1) else { return }
            let users = Place<UInt32>(0)
            for number in [3, 4] {
                execution.addThread("file \(number)") {
                    guard case .held(let held) = holds.hold(Descriptor(Int32(number))) else { return }
                    let others = users.value.wrappingAdd(1, ordering: .sequentiallyConsistent).oldValue
                    execution.check(others == 0, "two files have one place")
                    users.value.wrappingSubtract(1, ordering: .sequentiallyConsistent)
                    holds.release(held)
                }
            }
            execution.atEnd = {
                guard case .held = holds.hold(Descriptor(5)) else { return execution.fail("the place leaks") }
            }
        }
    }
}

/// What a context does with its events: the steps of `Context` and `Reaping` around `Waiters` and `News`.
private final class ReapedContext: @unchecked Sendable {
    // @unchecked: one thread runs at a time, and the lock guards the rest as in the library.
    private let lock = Lock()
    private(set) var eventCount = 0
    private var waiters = Waiters()
    private let news: News

    init() {
        let words = UnsafeMutablePointer<Atomic<UInt32>>.allocate(capacity: 2)
        news = News(words, mark: words + 1)
    }

    deinit { news.word.deallocate() }

    func reap(_ count: Int = 1) {
        var taken = 0
        while true {
            lock.lock()
            let available = min(eventCount, count - taken)
            eventCount -= available
            taken += available
            if taken == count { return lock.unlock() }
            waiters.begin(wanting: count - taken)
            let seen = news.word.pointee.load(ordering: .relaxed)
            lock.unlock()
            news.announceSleep()
            _ = Kernel.futexWait(news.word, while: seen, until: .never)
        }
    }

    func publish() {
        lock.lock()
        eventCount += 1
        let isNeeded = waiters.isWoken(by: eventCount)
        if isNeeded { news.change() }
        lock.unlock()
        if isNeeded { news.wakeSleepers() }
    }
}
