import Testing

@Suite struct HandleInterleavings {
    /// Users of a file against its close: the descriptor is closed once, and not in use.
    @Test(arguments: [Rules.Memory.sequentiallyConsistent, .weak])
    func aCloseWaitsForTheUsers(_ memory: Rules.Memory) {
        explore("lease, close against users", Rules(memory: memory, hasTasks: true)) { execution in
            let lease = Shared(FileLease())
            let isOpen = Plain()
            isOpen.write(1)
            let works = [Plain(), Plain()]
            for user in 0..<2 {
                execution.addThread("user \(user)") {
                    guard lease.value.begin() else { return }
                    // A user may use a descriptor that the close has not reached.
                    execution.point()
                    execution.check(isOpen.read() == 1, "use after close")
                    works[user].write(1)
                    lease.value.end()
                }
            }
            execution.addThread("closer") {
                ExploredTask().run {
                    guard lease.value.close() else { return execution.fail("the file is closed already") }
                    await lease.value.waitForUsers()
                    // The close comes after everything that users did.
                    for work in works { _ = work.read() }
                    isOpen.write(0)
                }
            }
            execution.atEnd = { execution.check(isOpen.read() == 0, "the file is not closed") }
        }
    }

    /// Two closes: one closes, the other is refused.
    @Test(arguments: [Rules.Memory.sequentiallyConsistent, .weak])
    func onlyOneCloseCloses(_ memory: Rules.Memory) {
        explore("lease, two closes", Rules(memory: memory, hasTasks: true)) { execution in
            let lease = Shared(FileLease())
            let closed = Log()
            for name in ["closer 0", "closer 1"] {
                execution.addThread(name) {
                    ExploredTask().run {
                        guard lease.value.close() else { return }
                        await lease.value.waitForUsers()
                        closed.append(1)
                    }
                }
            }
            execution.addThread("user") { if lease.value.begin() { lease.value.end() } }
            execution.atEnd = { execution.check(closed.entries.count == 1, "the file is not closed once") }
        }
    }

    /// Concurrent syncs: each caller is answered once, by a sync that began after its call.
    @Test func aSharedSyncAnswersThoseThatCameBeforeIt() {
        explore("shared sync", Rules(hasTasks: true)) { execution in
            let machine = ExploredSync(execution)
            for number in 0..<2 {
                execution.addThread("caller \(number)") {
                    ExploredTask().run { await machine.sync() }
                }
            }
            execution.atEnd = { machine.checkEnd(callers: 2) }
        }
    }
}

/// Syncs that are shared, and callers that give up.
@Suite struct SharedSyncInterleavings {
    /// One of two callers is cancelled: it is answered once, and the other by a sync that began after its call. With
    /// `lasts`, the other's sync does not end before the cancelled caller has its answer.
    @Test(arguments: [false, true])
    func aCancelledCallerIsAnsweredOnce(_ lasts: Bool) {
        explore("shared sync, cancel", Rules(hasTasks: true)) { execution in
            let machine = ExploredSync(execution)
            let task = ExploredTask()
            let answered = Place<UInt32>(0)
            execution.addThread("caller 0") {
                ExploredTask().run { await machine.sync(lastsUntil: lasts ? answered : nil) }
            }
            execution.addThread("caller 1") {
                task.run { await machine.sync(mayGiveUp: true) }
                answered.value.store(1, ordering: .sequentiallyConsistent)
                Kernel.futexWake(answered.address, 1)
            }
            execution.addThread("canceller") {
                task.cancel()
                execution.forget(0)
            }
            execution.atEnd = { machine.checkEnd(callers: 2) }
        }
    }
}

/// Streams: operations that wait, against the close of their handle.
@Suite struct StreamHandleInterleavings {
    /// What is read never comes: the close ends the operation, and closes the descriptor after it.
    @Test(arguments: [1, 2])
    func aCloseEndsTheOperationsThatWait(_ readerCount: Int) {
        let rules = Rules(hasTasks: true, preemptionLimit: readerCount == 1 ? 3 : 2)
        explore("stream, close against \(readerCount) readers", rules) { execution in
            let machine = ExploredStream(execution, queueDepth: readerCount)
            for reader in 0..<readerCount {
                execution.addThread("reader \(reader)") { ExploredTask().run { await machine.read(reader) } }
            }
            execution.addThread("closer") { machine.close(after: readerCount) }
            execution.atEnd = { machine.checkEnd(readers: readerCount, ends: [3]) }
        }
    }

    /// The operation waits for a slot, which another descriptor's has.
    @Test func aCloseEndsTheOperationsThatWaitForASlot() {
        let rules = Rules(hasTasks: true, preemptionLimit: 3)
        explore("stream, close against a reader without a slot", rules) { execution in
            let machine = ExploredStream(execution, queueDepth: 1)
            let taken = machine.loop.perform(.poll(Descriptor(9), events: 1), context: 1)
            execution.addThread("reader") { ExploredTask().run { await machine.read(0) } }
            execution.addThread("closer") { machine.close(after: 1, cancelling: true) }
            execution.atEnd = {
                execution.check(taken != nil, "no slot")
                machine.checkEnd(readers: 1, ends: [3])
            }
        }
    }

    /// The reader's task is cancelled as well.
    @Test func aCloseAndACancelEndAnOperationOnce() {
        explore("stream, close against a cancel", Rules(hasTasks: true, preemptionLimit: 2)) { execution in
            let machine = ExploredStream(execution, queueDepth: 1)
            let task = ExploredTask()
            execution.addThread("reader") { task.run { await machine.read(0) } }
            execution.addThread("canceller") {
                task.cancel()
                execution.forget(0)
            }
            execution.addThread("closer") { machine.close(after: 1) }
            execution.atEnd = { machine.checkEnd(readers: 1, ends: [1, 3]) }
        }
    }
}

/// A real handle over the explored loop.
private final class ExploredStream: @unchecked Sendable {
    // @unchecked: one thread runs at a time.
    private let execution: Execution
    let loop: ExploredLoop
    private let runtime: IORuntime
    /// Until the end of the execution: its deinitializer looks at atomics, and must not do so in the midst of the next.
    private var handle: StreamHandle?
    private let log = Log()
    /// Counts the readers that have ended.
    private let ended = Place<UInt32>(0)

    init(_ execution: Execution, queueDepth: Int) {
        self.execution = execution
        loop = ExploredLoop(execution, queueDepth: queueDepth, waitingLimit: 0)
        runtime = IORuntime(loop.loop)
        handle = StreamHandle(Descriptor(7, kind: .stream), "stream", runtime)
    }

    nonisolated(nonsending) func read(_ reader: Int) async {
        let poll = Operation.poll(Descriptor(7, kind: .stream), events: 1)
        do throws(IOError) {
            _ = try await handle.unsafelyUnwrapped.perform(poll, .never, "read")
            log.add(reader, 0)
        } catch {
            log.add(reader, ExploredLoop.number(of: error))
        }
        ended.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
        Kernel.futexWake(ended.address, 1)
    }

    /// Closes the handle, and shuts the loop down once the readers have ended.
    func close(after readers: Int, cancelling: Bool = false) {
        ExploredTask().run { [self] in
            do throws(IOError) { try await handle.unsafelyUnwrapped.close() } catch {
                execution.fail("the close fails: \(error)")
            }
        }
        while true {
            let count = ended.value.load(ordering: .sequentiallyConsistent)
            if count == UInt32(readers) { break }
            _ = Kernel.futexWait(ended.address, while: count, until: .never)
        }
        loop.shutDown(cancelling: cancelling)
    }

    func checkEnd(readers: Int, ends: Set<UInt32>) {
        handle = nil
        loop.checkEnd()
        execution.check(runtime.closes == [7: 1], "closed: \(runtime.closes)")
        for reader in 0..<readers {
            execution.check(log.values[reader].map(ends.contains) == true, "reader \(reader): \(log.values)")
        }
    }
}

/// The steps of `File.sync` around `SharedSync`.
private final class ExploredSync: @unchecked Sendable {
    // @unchecked: one thread runs at a time.
    private let execution: Execution
    private let shared = SharedSync()
    private let loop: IOLoop
    /// Counts the syncs that have begun, and those that have ended.
    private let begun = Place<UInt32>(0)
    private let ended = Place<UInt32>(0)
    private var answerCount = 0

    init(_ execution: Execution) {
        self.execution = execution
        let settings = EngineConfiguration(queueDepth: 1)
        loop = IOLoop(byHand: EngineQueue(EngineQueue.Engine(), settings), settings, IORuntime.Configuration())
    }

    nonisolated(nonsending) func sync(mayGiveUp: Bool = false, lastsUntil word: Place<UInt32>? = nil) async {
        let before = begun.value.load(ordering: .sequentiallyConsistent)
        switch await shared.enter(.full, .never, loop) {
        case .turn:
            carryOut(until: word)
            while shared.endRound(nil) != nil { carryOut(until: nil) }
        case .ended:
            let after = ended.value.load(ordering: .sequentiallyConsistent)
            execution.check(after > before, "the sync began before the call")
        case .failed(let code): execution.check(mayGiveUp && code == .cancelled, "the caller gets \(code)")
        }
        answerCount += 1
    }

    private func carryOut(until word: Place<UInt32>?) {
        begun.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
        while let word, word.value.load(ordering: .sequentiallyConsistent) == 0 {
            _ = Kernel.futexWait(word.address, while: 0, until: .never)
        }
        ended.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
    }

    func checkEnd(callers: Int) {
        execution.check(answerCount == callers, "a caller is not answered once")
        execution.check(!shared.isRunning && shared.waiterCount == 0, "a round is left")
    }
}
