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

    /// The line alone: callers, a cancel, and the loop that admits; each caller is answered once, and no slot leaks.
    @Test(arguments: [Rules.Memory.sequentiallyConsistent, .weak])
    func aCancelledCallerIsAnsweredOnceAndLeaksNoSlot(_ memory: Rules.Memory) {
        explore("admission, cancel", Rules(memory: memory, hasTasks: true)) { execution in
            let admission = Admission()
            let pool = Shared(SlotPool(capacity: 1))
            let task = ExploredTask()
            let (answers, word) = (Log(), Place<UInt32>(0))
            execution.addThread("caller") {
                task.run {
                    let answer = await admission.wait(.nop, .never) {
                        word.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
                        Kernel.futexWake(word.address, 1)
                    }
                    // The loop goes on if the caller has left before it waited.
                    word.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
                    Kernel.futexWake(word.address, 1)
                    switch answer {
                    case .admitted(let token):
                        answers.append(1)
                        pool.value.push(token.slot)
                    case .failed(let code):
                        execution.check(code == .cancelled, "the caller gets another error")
                        answers.append(2)
                    }
                }
            }
            execution.addThread("canceller") { task.cancel() }
            execution.addThread("loop") {
                while true {
                    let seen = word.value.load(ordering: .sequentiallyConsistent)
                    _ = admission.admit { _, _ in pool.value.pop().map { Token(slot: $0, generation: 0) } }
                    if seen > 0 { break }
                    _ = Kernel.futexWait(word.address, while: seen, until: .never)
                }
            }
            execution.atEnd = {
                execution.check(answers.entries.count == 1, "the caller is not answered once")
                execution.check(pool.value.pop() == 0, "the slot leaks")
                execution.check(admission.waiterCount == 0, "a waiter is left")
            }
        }
    }
}
