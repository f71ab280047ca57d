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

    nonisolated(nonsending) func sync() async {
        let before = begun.value.load(ordering: .sequentiallyConsistent)
        switch await shared.enter(.full, .never, loop) {
        case .turn:
            carryOut()
            while shared.endRound(nil) != nil { carryOut() }
        case .ended:
            let after = ended.value.load(ordering: .sequentiallyConsistent)
            execution.check(after > before, "the sync began before the call")
        case .failed: execution.fail("the caller gets an error")
        }
        answerCount += 1
    }

    private func carryOut() {
        begun.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
        ended.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
    }

    func checkEnd(callers: Int) {
        execution.check(answerCount == callers, "a caller is not answered once")
        execution.check(!shared.isRunning && shared.waiterCount == 0, "a round is left")
    }
}
