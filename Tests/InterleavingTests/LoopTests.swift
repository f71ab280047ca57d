internal import CKernel
import Testing

/// The real loop with the real tasks, inbox, cancel requests, in-flight table and waker, over a queue that completes
/// everything but waits.
final class ExploredLoop: @unchecked Sendable {
    // @unchecked: one thread runs at a time.
    let execution: Execution
    let engine = EngineQueue.Engine()
    let loop: IOLoop
    private(set) var hasEnded = false

    /// Adds the loop's thread, which must be the first.
    init(_ execution: Execution, queueDepth: Int = 2, waitingLimit: Int = 1) {
        self.execution = execution
        OperationGroupState.completions = [:]
        var settings = EngineConfiguration(queueDepth: queueDepth)
        settings.waitingLimit = waitingLimit
        loop = IOLoop(byHand: EngineQueue(engine, settings), settings, IORuntime.Configuration())
        execution.addThread("loop") { [loop] in loop.core.run() }
    }

    /// Prepares and stages an operation without a task. `context` is odd.
    func perform(_ operation: Operation, context: UInt) -> Token? {
        guard let token = loop.core.prepare(operation, context: context, deadline: .never) else { return nil }
        loop.core.stage(token)
        return token
    }

    /// Performs an operation in the running task. 0 for success, 1 for a cancel, 2 for a deadline, 9 for anything else.
    nonisolated(nonsending) func end(_ operation: Operation, deadline: Nanoseconds = .never) async -> UInt32 {
        do throws(IOError) {
            let completion = try await loop.perform(operation, deadline, "operation")
            return completion.result == 0 ? 0 : completion.result == -ECANCELED ? 1 : 9
        } catch {
            return Self.number(of: error)
        }
    }

    static func number(of error: IOError) -> UInt32 {
        switch error.code {
        case .cancelled: 1
        case .deadlineExceeded: 2
        case .fileClosed: 3
        case .runtimeShutDown, .limitReached, .other: 9
        }
    }

    func checkCompletions(of context: UInt, count: Int) {
        let completions = OperationGroupState.completions[context] ?? []
        execution.check(completions.count == count, "\(count) operations have \(completions.count) completions")
    }

    func shutDown(cancelling: Bool) {
        loop.beginShutdown(cancelling ? .cancel : .drain) { self.hasEnded = true }
        // Whom the thread has woken no longer matters to it.
        execution.forget(1)
    }

    func checkEnd() {
        execution.check(hasEnded, "the loop has not ended")
        execution.check(engine.isGone, "the engine has not ended")
    }
}

@Suite struct LoopInterleavings {
    /// An operation of one thread against the shutdown by another.
    @Test(arguments: [false, true])
    func whatIsAcceptedCompletesAndTheLoopEnds(_ cancelling: Bool) {
        explore("loop, operation against shutdown") { execution in
            let machine = ExploredLoop(execution, queueDepth: 1, waitingLimit: 0)
            let accepted = Log()
            execution.addThread("caller") {
                let operation: Operation = cancelling ? .poll(Descriptor(0), events: 1) : .nop
                if machine.perform(operation, context: 1) != nil { accepted.append(1) }
                execution.forget(UInt64(accepted.entries.count))
            }
            execution.addThread("closer") { machine.shutDown(cancelling: cancelling) }
            execution.atEnd = {
                machine.checkEnd()
                machine.checkCompletions(of: 1, count: accepted.entries.count)
            }
        }
    }

    /// A cancel against an operation that would wait for ever, and a shutdown that waits for it.
    @Test(arguments: [Rules.Memory.sequentiallyConsistent, .weak])
    func aCancelReachesAnOperation(_ memory: Rules.Memory) {
        explore("loop, cancel", Rules(memory: memory)) { execution in
            let machine = ExploredLoop(execution, queueDepth: 1, waitingLimit: 0)
            let token = machine.perform(.poll(Descriptor(0), events: 1), context: 1)
            execution.addThread("canceller") {
                if let token { machine.loop.core.requestCancel(token) }
                if memory == .weak { machine.shutDown(cancelling: false) }
                execution.forget(0)
            }
            if memory != .weak { execution.addThread("closer") { machine.shutDown(cancelling: false) } }
            execution.atEnd = {
                machine.checkEnd()
                machine.checkCompletions(of: 1, count: 1)
            }
        }
    }

    /// Two requests against the loop that takes them.
    @Test(arguments: [Rules.Memory.sequentiallyConsistent, .weak])
    func eachCancelRequestIsTakenOnce(_ memory: Rules.Memory) {
        explore("cancel requests", Rules(memory: memory)) { execution in
            let cancels = Shared(CancelRequests(capacity: 2))
            for slot in 0..<2 {
                execution.addThread("canceller \(slot)") {
                    cancels.value.put(Token(slot: UInt32(slot), generation: 0))
                }
            }
            execution.addThread("loop") {
                var taken: [UInt32] = []
                while taken.count < 2 {
                    cancels.value.take { token in
                        taken.append(token.slot)
                        execution.observe(UInt64(token.slot))
                    }
                    if taken.count < 2 { Kernel.yieldThread() }
                }
                execution.check(taken.sorted() == [0, 1], "a request is taken twice")
            }
        }
    }

    /// A job of another thread: the flag `hasRemote`.
    @Test(arguments: [Rules.Memory.sequentiallyConsistent, .weak])
    func aJobOfAnotherThreadRuns(_ memory: Rules.Memory) {
        explore("loop, jobs", Rules(memory: memory)) { execution in
            let machine = ExploredLoop(execution, queueDepth: 1, waitingLimit: 0)
            let log = Log()
            execution.addThread("enqueuer") {
                machine.loop.enqueue(
                    ExecutorJob {
                        log.append(1)
                        machine.shutDown(cancelling: false)
                    })
            }
            execution.atEnd = {
                machine.checkEnd()
                execution.check(log.entries == [1], "the job does not run once")
            }
        }
    }

    /// A job against the shutdown: it runs on the loop or, after its end, on the global executor.
    @Test func aJobRunsAlsoIfTheLoopEnds() {
        explore("loop, job against shutdown") { execution in
            let machine = ExploredLoop(execution, queueDepth: 1, waitingLimit: 0)
            let log = Log()
            execution.addThread("enqueuer") {
                machine.loop.enqueue(ExecutorJob { log.append(1) })
                execution.forget(0)
            }
            execution.addThread("closer") { machine.shutDown(cancelling: false) }
            execution.atEnd = {
                machine.checkEnd()
                execution.check(log.entries == [1], "the job does not run once")
            }
        }
    }
}
