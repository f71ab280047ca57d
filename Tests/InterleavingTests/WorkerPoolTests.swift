import Testing

@Suite struct WorkerPoolInterleavings {
    /// Blocking work for at most two workers, and the engine that sleeps until it is done. A second batch meets workers
    /// that run, fall idle, wait or leave.
    @Test(arguments: [Rules.Timeouts.whenIdle, .anyTime])
    func allWorkIsDoneAndTheEngineIsWoken(_ timeouts: Rules.Timeouts) {
        let rules = Rules(timeouts: timeouts, timeoutLimit: 1)
        explore("workers, blocking work", rules) { execution in
            let pool = EnginePool(execution, limit: 2)
            execution.addThread("engine") {
                pool.workers.startFirst()
                pool.add(.sync(Descriptor(3), .full), slot: 0)
                pool.add(.sync(Descriptor(4), .full), slot: 1)
                pool.wait(for: 2)
                pool.add(.sync(Descriptor(3), .full), slot: 0)
                pool.wait(for: 3)
                pool.workers.shutDown()
            }
            execution.atEnd = { pool.checkEnd() }
        }
    }

    /// Quick work with its watcher, beside blocking work.
    @Test func quickWorkIsWatchedAndDone() {
        let rules = Rules(timeouts: .anyTime, timeoutLimit: 1)
        explore("workers, quick work", rules) { execution in
            let pool = EnginePool(execution, limit: 2)
            let read = Operation.read(Transfer(Descriptor(3, kind: .buffered), nil, count: 1, offset: 0))
            execution.addThread("engine") {
                pool.add(read, slot: 0)
                pool.add(.sync(Descriptor(4), .full), slot: 1)
                pool.wait(for: 2)
                pool.workers.shutDown()
            }
            execution.atEnd = { pool.checkEnd() }
        }
    }

    /// A cancel takes back work that no worker has begun, or comes too late; never both.
    @Test func workThatIsTakenBackDoesNotComplete() {
        explore("workers, cancel") { execution in
            let pool = EnginePool(execution, limit: 1)
            execution.addThread("engine") {
                pool.add(.sync(Descriptor(3), .full), slot: 0)
                pool.add(.sync(Descriptor(4), .full), slot: 1)
                let isTakenBack = pool.workers.remove(Token(slot: 1, generation: 0))
                pool.wait(for: isTakenBack ? 1 : 2)
                pool.workers.shutDown()
            }
            execution.atEnd = { pool.checkEnd() }
        }
    }
}

/// The engine's side of a pool of workers.
private final class EnginePool: @unchecked Sendable {
    // @unchecked: one thread runs at a time.
    let execution: Execution
    let waker = Waker()
    let workers: WorkerPool
    private var doneCount = 0

    init(_ execution: Execution, limit: Int) {
        self.execution = execution
        workers = WorkerPool(capacity: 2, limit: limit, waker)
    }

    func add(_ operation: Operation, slot: UInt32) {
        workers.add(WorkItem(operation, Token(slot: slot, generation: 0)))
    }

    func wait(for count: Int) {
        while true {
            let armed = waker.word.pointee.load(ordering: .sequentiallyConsistent)
            var completed = FixedQueue<Completion>(capacity: 2)
            workers.takeFinished(into: &completed)
            while completed.popFirst() != nil { doneCount += 1 }
            execution.observe(UInt64(doneCount))
            if doneCount >= count { break }
            if workers.finished.fallAsleep() { _ = Kernel.futexWait(waker.word, while: armed, until: .never) }
        }
        execution.check(doneCount == count, "work completes twice")
        execution.forget(UInt64(count))
    }

    func checkEnd() {
        var completed = FixedQueue<Completion>(capacity: 2)
        workers.takeFinished(into: &completed)
        execution.check(completed.isEmpty, "work completes twice, or after it was taken back")
        execution.check(workers.threadCount == 0, "a worker is left")
    }
}
