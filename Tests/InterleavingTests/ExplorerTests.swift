import Testing

/// The explorer itself: what it finds in programs whose faults are known.
@Suite struct ExplorerTests {
    @Test func allOrdersOfTwoStoresAreVisited() {
        nonisolated(unsafe) var results: Set<UInt32> = []
        let outcome = explored { execution in
            let word = Place<UInt32>(0)
            execution.addThread("one") { word.value.store(1, ordering: .sequentiallyConsistent) }
            execution.addThread("two") { word.value.store(2, ordering: .sequentiallyConsistent) }
            execution.atEnd = { results.insert(word.value.load(ordering: .relaxed)) }
        }
        #expect(outcome.counterexample == nil)
        #expect(results == [1, 2])
    }

    @Test func aLostUpdateIsFound() {
        let outcome = explored { execution in
            let word = Place<UInt32>(0)
            for name in ["one", "two"] {
                execution.addThread(name) {
                    let old = word.value.load(ordering: .sequentiallyConsistent)
                    word.value.store(old + 1, ordering: .sequentiallyConsistent)
                }
            }
            execution.atEnd = { execution.check(word.value.load(ordering: .relaxed) == 2, "an update is lost") }
        }
        #expect(outcome.counterexample?.hasSuffix("an update is lost") == true)
    }

    /// Store buffering: each thread stores, and looks at the other's store.
    @Test(arguments: [Rules.Memory.sequentiallyConsistent, .weak], [Ordering.relaxed, .sequentiallyConsistent])
    func storesAreBufferedUnderWeakMemoryAlone(_ memory: Rules.Memory, _ ordering: Ordering) {
        let outcome = explored(Rules(memory: memory)) { execution in
            let (one, two) = (Place<UInt32>(0), Place<UInt32>(0))
            let seen = Log()
            for (name, mine, other) in [("one", one, two), ("two", two, one)] {
                execution.addThread(name) {
                    mine.value.store(1, ordering: ordering)
                    seen.add(mine === one ? 1 : 2, other.value.load(ordering: ordering))
                }
            }
            execution.atEnd = { execution.check(seen.values != [1: 0, 2: 0], "both miss the other's store") }
        }
        #expect((outcome.counterexample != nil) == (memory == .weak && ordering == .relaxed))
    }

    /// Message passing: a flag says that a value is there.
    @Test(arguments: [(Ordering.relaxed, Ordering.acquiring), (.releasing, .relaxed), (.releasing, .acquiring)])
    func aFlagPublishesOnlyWithReleaseAndAcquire(_ store: Ordering, _ load: Ordering) {
        let outcome = explored(Rules(memory: .weak)) { execution in
            let (value, flag) = (Place<UInt32>(0), Place<Bool>(false))
            execution.addThread("writer") {
                value.value.store(7, ordering: .relaxed)
                flag.value.store(true, ordering: store)
            }
            execution.addThread("reader") {
                guard flag.value.load(ordering: load) else { return }
                execution.check(value.value.load(ordering: .relaxed) == 7, "the value is not there")
            }
        }
        #expect((outcome.counterexample != nil) == (store == .relaxed || load == .relaxed))
    }

    @Test func aDeadlockOfTwoLocksIsFound() {
        let outcome = explored { execution in
            let locks = Locks()
            execution.addThread("one") {
                locks.first.lock()
                locks.second.lock()
                locks.second.unlock()
                locks.first.unlock()
            }
            execution.addThread("two") {
                locks.second.lock()
                locks.first.lock()
                locks.first.unlock()
                locks.second.unlock()
            }
        }
        #expect(outcome.counterexample?.contains("no thread can go on") == true)
    }

    private final class Locks {
        let first = Lock()
        let second = Lock()
    }

    /// A look before the sleep, and no look after the announcement.
    @Test(arguments: [false, true])
    func aLostWakeUpIsFound(_ looksAgain: Bool) {
        let outcome = explored { execution in
            let (work, isAsleep, word) = (Place<Bool>(false), Place<Bool>(false), Place<UInt32>(0))
            execution.addThread("sleeper") {
                if work.value.load(ordering: .sequentiallyConsistent) { return }
                let seen = word.value.load(ordering: .sequentiallyConsistent)
                isAsleep.value.store(true, ordering: .sequentiallyConsistent)
                if looksAgain, work.value.load(ordering: .sequentiallyConsistent) { return }
                _ = Kernel.futexWait(word.address, while: seen, until: .never)
            }
            execution.addThread("waker") {
                work.value.store(true, ordering: .sequentiallyConsistent)
                guard isAsleep.value.load(ordering: .sequentiallyConsistent) else { return }
                word.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
                Kernel.futexWake(word.address, 1)
            }
        }
        #expect((outcome.counterexample == nil) == looksAgain)
    }

    @Test func aThreadThatSpinsGoesOnAfterAWrite() {
        let outcome = explored(Rules(memory: .weak)) { execution in
            let word = Place<Bool>(false)
            execution.addThread("spinner") { while !word.value.load(ordering: .relaxed) { Kernel.yieldThread() } }
            execution.addThread("writer") { word.value.store(true, ordering: .relaxed) }
        }
        #expect(outcome.counterexample == nil)
    }
}
