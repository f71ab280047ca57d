import Testing

@Suite struct InboxInterleavings {
    /// Writers with a slot each, and a reader that sleeps when there is nothing.
    @Test(arguments: [(Rules.Memory.sequentiallyConsistent, 2), (.weak, 2)])
    func everySlotArrivesOnceAndTheReaderIsWoken(_ memory: Rules.Memory, _ writerCount: Int) {
        explore("inbox, \(writerCount) writers", Rules(memory: memory)) { execution in
            let inbox = Shared(Inbox(capacity: writerCount))
            let waker = Waker()
            let contents = (0..<writerCount).map { _ in Plain() }
            for slot in 0..<writerCount {
                execution.addThread("writer \(slot)") {
                    contents[slot].write(UInt64(slot) + 1)
                    if inbox.value.put(UInt32(slot)) { waker.wake() }
                }
            }
            execution.addThread("reader") {
                var arrived: Set<UInt32> = []
                while true {
                    execution.forget(arrived.reduce(0) { $0 | 1 << $1 })
                    let armed = waker.word.pointee.load(ordering: .sequentiallyConsistent)
                    inbox.value.take { slot in
                        execution.observe(UInt64(slot))
                        execution.check(arrived.insert(slot).inserted, "slot \(slot) arrives twice")
                        execution.check(contents[Int(slot)].read() == UInt64(slot) + 1, "the slot is empty")
                    }
                    if arrived.count == writerCount { break }
                    if inbox.value.fallAsleep() { _ = Kernel.futexWait(waker.word, while: armed, until: .never) }
                }
            }
        }
    }

    /// News outside of the inbox: a flag, and then `wakeIsNeeded`.
    @Test(arguments: [Rules.Memory.sequentiallyConsistent, .weak])
    func newsOutsideOfTheInboxWakesTheReader(_ memory: Rules.Memory) {
        explore("inbox, news outside", Rules(memory: memory)) { execution in
            let inbox = Shared(Inbox(capacity: 1))
            let waker = Waker()
            let news = [Place<Bool>(false), Place<Bool>(false)]
            for flag in news {
                execution.addThread("messenger") {
                    flag.value.store(true, ordering: .sequentiallyConsistent)
                    if inbox.value.wakeIsNeeded() { waker.wake() }
                }
            }
            execution.addThread("reader") {
                func hasAll() -> Bool { news.allSatisfy { $0.value.load(ordering: .sequentiallyConsistent) } }
                while true {
                    execution.forget(0)
                    let armed = waker.word.pointee.load(ordering: .sequentiallyConsistent)
                    inbox.value.take { _ in }
                    if hasAll() { break }
                    if inbox.value.fallAsleep(), !hasAll() {
                        _ = Kernel.futexWait(waker.word, while: armed, until: .never)
                    }
                }
            }
        }
    }
}

@Suite struct SlotPoolInterleavings {
    /// A slot's owner writes to it: two owners at a time, or an owner that misses an earlier one's write, are a race.
    @Test(arguments: [(Rules.Memory.sequentiallyConsistent, 3, 1), (.sequentiallyConsistent, 2, 2), (.weak, 2, 1)])
    func aSlotHasOneOwner(_ memory: Rules.Memory, _ threadCount: Int, _ rounds: Int) {
        explore("slot pool, \(threadCount) threads", Rules(memory: memory)) { execution in
            let pool = Shared(SlotPool(capacity: 2))
            let owners = [Plain(), Plain()]
            for thread in 0..<threadCount {
                execution.addThread("thread \(thread)") {
                    for round in 0..<rounds {
                        execution.forget(UInt64(round))
                        guard let slot = pool.value.pop() else { continue }
                        let owner = owners[Int(slot)]
                        execution.check(owner.read() == 0, "the slot has another owner")
                        owner.write(UInt64(thread) + 1)
                        execution.check(owner.read() == UInt64(thread) + 1, "the slot has another owner")
                        owner.write(0)
                        pool.value.push(slot)
                    }
                }
            }
            execution.atEnd = {
                let slots = [pool.value.pop(), pool.value.pop(), pool.value.pop()]
                execution.check(Set(slots) == [0, 1, nil], "a slot is lost or doubled: \(slots)")
            }
        }
    }

    /// ABA: while one thread pops, another takes two slots and gives the first back.
    @Test func aStaleTopIsNotPopped() {
        explore("slot pool, ABA") { execution in
            let pool = Shared(SlotPool(capacity: 2))
            let log = Log()
            execution.addThread("popper") {
                if let slot = pool.value.pop() { log.append(slot) }
            }
            execution.addThread("owner") {
                guard let first = pool.value.pop() else { return }
                guard let second = pool.value.pop() else { return pool.value.push(first) }
                log.append(second)
                pool.value.push(first)
            }
            execution.atEnd = {
                while let slot = pool.value.pop() { log.append(slot) }
                execution.check(log.entries.sorted() == [0, 1], "a slot is lost or doubled: \(log.entries)")
            }
        }
    }
}
