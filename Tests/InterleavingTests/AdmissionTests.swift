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
