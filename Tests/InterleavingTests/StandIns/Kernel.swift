/// Takes the place of AIOCore's system calls: those that the sources under test make.
public enum Kernel {
    static func currentThread() -> UInt { UInt((Execution.current?.running?.id ?? 0) + 1) }
    static func threadID() -> Int32 { Int32(currentThread()) }
    /// Stands still until a wait of the thread times out.
    static func now() -> Nanoseconds { Execution.current?.running?.time ?? 1 }
    static func nameThread(_ name: ThreadName) {}
    static func sharesFiles(with thread: Int32) -> Bool { true }
    static func sendSignal(_ signal: Int32, thread: Int32) -> Int { -3 }
    static func sleep(until deadline: Nanoseconds) { yieldThread() }

    /// The thread spins: it goes on after another one has written something.
    static func yieldThread() {
        guard let execution = Execution.current, let thread = execution.running else { return }
        if execution.memory.isWeak, execution.memory.catchUp(thread) { return }
        // Since it last went on: a write may have come after its look.
        execution.point(.awaitsWrite(thread.writesSeen))
        thread.writesSeen = execution.writes
    }

    /// Registers a file in a ring's table, or removes it: always possible.
    static func ringRegister(
        _ ring: Int32, _ operation: UInt32, _ argument: UnsafeMutableRawPointer, _ count: Int
    ) -> Int { count }

    static func startThread(_ body: ThreadBody) -> Int32 {
        let execution = Execution.current.unsafelyUnwrapped
        execution.addThread("thread \(execution.threads.count)") { body.run() }
        return 0
    }

    /// Reads the newest value: the kernel takes the lock of the word's waiters first, as a wake-up does.
    static func futexWait(
        _ word: UnsafeMutablePointer<Atomic<UInt32>>, while value: UInt32, until deadline: Nanoseconds
    ) -> Int {
        let execution = Execution.current.unsafelyUnwrapped
        guard let thread = execution.running else { return 0 }
        let cell = word.pointee.cell
        execution.point()
        // A read like others: later loads return nothing older.
        _ = execution.memory.read(cell, age: 0, thread, acquires: false)
        guard UInt32(bits: execution.memory.newest(cell)) == value else {
            execution.note("futex", UInt(cell), "holds another value")
            execution.observe(2)
            return -11
        }
        execution.memory.addSleeper(cell, thread)
        execution.note("futex", UInt(cell), "is slept on")
        thread.isWoken = false
        execution.observe(3)
        execution.point(.sleeps("futex word \(cell)", mayTimeOut: deadline != .never))
        let wasWoken = thread.isWoken
        thread.isWoken = false
        execution.memory.removeSleeper(cell, thread)
        if !wasWoken {
            thread.timeouts += 1
            thread.time = max(thread.time, deadline)
        }
        execution.note("futex", UInt(cell), wasWoken ? "wakes up" : "times out")
        execution.observe(wasWoken ? 1 : 0)
        return wasWoken ? 0 : -110
    }

    static func futexWake(_ word: UnsafeMutablePointer<Atomic<UInt32>>, _ count: Int32) {
        let execution = Execution.current.unsafelyUnwrapped
        guard execution.running != nil else { return }
        execution.point()
        var left = count
        while left > 0, let sleeper = execution.memory.popSleeper(word.pointee.cell) {
            sleeper.isWoken = true
            execution.note("futex", UInt(word.pointee.cell), "wakes \(sleeper.name)")
            left -= 1
        }
    }
}

enum ThreadName { case loop, worker, waiting }

class ThreadBody {
    func run() {}
}

/// Takes the place of Swift's, which would end the process without telling how it came to this.
func assert(_ condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String = "an assertion fails") {
    if !condition() { Execution.current?.fail(message()) }
}
