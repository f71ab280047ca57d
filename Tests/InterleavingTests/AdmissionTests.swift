import Testing

@Suite struct AdmissionInterleavings {
    /// A caller that waits for the only slot, against the completion that frees it and the loop that falls asleep.
    @Test(arguments: [Rules.Memory.sequentiallyConsistent, .weak])
    func aCallerThatWaitsGetsTheSlot(_ memory: Rules.Memory) {
        explore("admission, slot freed", Rules(memory: memory, hasTasks: true)) { execution in
            let machine = ExploredLoop(execution, queueDepth: 1, waitingLimit: 0)
            let taken = machine.perform(.nop, context: 1)
            let log = Log()
            execution.addThread("caller") {
                ExploredTask().run {
                    let result = try? await machine.loop.perform(.nop, .never, "nop").result
                    log.append(result == 0 ? 1 : 0)
                }
                machine.shutDown(cancelling: false)
            }
            execution.atEnd = {
                machine.checkEnd()
                execution.check(taken != nil && log.entries == [1], "the caller does not get the slot")
            }
        }
    }

    /// A caller that waits for the only slot, and whose task is cancelled. The slot becomes free meanwhile, or never.
    @Test(arguments: [false, true])
    func aCancelledCallerGetsTheSlotOrGivesUp(_ becomesFree: Bool) {
        explore("admission, cancel of the caller", Rules(hasTasks: true, preemptionLimit: 3)) { execution in
            let machine = ExploredLoop(execution, queueDepth: 1, waitingLimit: 0)
            let taken = machine.perform(becomesFree ? .nop : .poll(Descriptor(0), events: 1), context: 1)
            let (task, log) = (ExploredTask(), Log())
            execution.addThread("caller") {
                task.run { log.append(await machine.end(.nop)) }
                machine.shutDown(cancelling: true)
            }
            execution.addThread("canceller") {
                task.cancel()
                execution.forget(0)
            }
            execution.atEnd = {
                machine.checkEnd()
                let ends: [UInt32] = becomesFree ? [0, 1] : [1]
                execution.check(
                    taken != nil && log.entries.count == 1 && ends.contains(log.entries[0]), "ends: \(log.entries)")
            }
        }
    }

    /// A caller that waits for the only slot until a deadline, against the cancel that frees the slot.
    @Test func aCallerGetsTheSlotOrItsDeadlinePasses() {
        let rules = Rules(timeouts: .anyTime, hasTasks: true, preemptionLimit: 3)
        explore("admission, deadline of the caller", rules) { execution in
            let machine = ExploredLoop(execution, queueDepth: 1, waitingLimit: 0)
            let taken = machine.perform(.poll(Descriptor(0), events: 1), context: 1)
            let log = Log()
            execution.addThread("caller") {
                ExploredTask().run { log.append(await machine.end(.nop, deadline: 2)) }
                machine.shutDown(cancelling: true)
            }
            execution.addThread("canceller") {
                if let taken { machine.loop.core.requestCancel(taken) }
                execution.forget(0)
            }
            execution.atEnd = {
                machine.checkEnd()
                execution.check(taken != nil && [[0], [2]].contains(log.entries), "ends: \(log.entries)")
            }
        }
    }

    /// The task of an operation that would wait for ever is cancelled.
    @Test(arguments: [Rules.Memory.sequentiallyConsistent, .weak])
    func aCancelledTaskEndsItsOperation(_ memory: Rules.Memory) {
        let rules = Rules(memory: memory, hasTasks: true, preemptionLimit: memory == .weak ? 2 : 3)
        explore("operation, cancel of the task", rules) { execution in
            let machine = ExploredLoop(execution, queueDepth: 1, waitingLimit: 0)
            let (task, log) = (ExploredTask(), Log())
            execution.addThread("caller") {
                task.run { log.append(await machine.end(.poll(Descriptor(0), events: 1))) }
                machine.shutDown(cancelling: false)
            }
            execution.addThread("canceller") {
                task.cancel()
                execution.forget(0)
            }
            execution.atEnd = {
                machine.checkEnd()
                execution.check(log.entries == [1], "the operation is not cancelled once: \(log.entries)")
            }
        }
    }

    /// An alarm of another thread, set while the loop falls asleep.
    @Test(arguments: [Rules.Memory.sequentiallyConsistent, .weak])
    func anAlarmGoesOff(_ memory: Rules.Memory) {
        explore("alarm", Rules(memory: memory)) { execution in
            let machine = ExploredLoop(execution, queueDepth: 1, waitingLimit: 0)
            let word = Place<UInt32>(0)
            execution.addThread("caller") {
                _ = machine.loop.setAlarm(1) {
                    word.value.store(1, ordering: .sequentiallyConsistent)
                    Kernel.futexWake(word.address, 1)
                }
                while word.value.load(ordering: .sequentiallyConsistent) == 0 {
                    _ = Kernel.futexWait(word.address, while: 0, until: .never)
                }
                machine.shutDown(cancelling: false)
            }
            execution.atEnd = { machine.checkEnd() }
        }
    }
}
