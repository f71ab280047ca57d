/// Takes the place of AIOCore's lock.
///
/// Its release is no point: it commutes with everything that other threads can do until then.
public struct Lock: ~Copyable, @unchecked Sendable {
    // @unchecked: a number, which never changes.
    fileprivate let number: Int

    public init() {
        let execution = Execution.current.unsafelyUnwrapped
        number = execution.locks.count
        execution.locks.append(Execution.LockState(key: execution.newKey()))
    }

    public borrowing func lock() {
        let execution = Execution.current.unsafelyUnwrapped
        guard let thread = execution.running else { return }
        execution.point(execution.locks[number].key, writes: true, .needsLock(number))
        execution.locks[number].holder = thread.id
        thread.locksHeld += 1
        thread.history = mixed(thread.history, execution.locks[number].history)
        if execution.memory.isWeak { thread.view.join(execution.locks[number].view) }
        execution.note("lock", UInt(number), "is taken")
    }

    public borrowing func unlock() {
        let execution = Execution.current.unsafelyUnwrapped
        guard let thread = execution.running else { return }
        guard execution.locks[number].holder == thread.id else {
            return execution.fail("\(thread.name) releases a lock that it does not have")
        }
        execution.locks[number].holder = nil
        thread.locksHeld -= 1
        execution.locks[number].history = mixed(execution.locks[number].history, thread.history)
        if execution.memory.isWeak { execution.locks[number].view.join(thread.view) }
        execution.writes += 1
    }

    public var isHeld: Bool {
        let execution = Execution.current.unsafelyUnwrapped
        guard let thread = execution.running else { return true }
        return execution.locks[number].holder == thread.id
    }
}

/// Takes the place of AIOCore's condition variable.
struct Condition: ~Copyable, @unchecked Sendable {
    // @unchecked: a number, which never changes.
    private let number: Int

    init() {
        let execution = Execution.current.unsafelyUnwrapped
        number = execution.conditions.count
        execution.conditions.append([])
    }

    borrowing func wait(_ lock: borrowing Lock) { _ = wait(lock, mayTimeOut: false) }

    /// Returns false if the deadline passed.
    borrowing func wait(_ lock: borrowing Lock, until deadline: Nanoseconds) -> Bool {
        wait(lock, mayTimeOut: deadline != .never)
    }

    private borrowing func wait(_ lock: borrowing Lock, mayTimeOut: Bool) -> Bool {
        let execution = Execution.current.unsafelyUnwrapped
        guard let thread = execution.running else { return true }
        execution.conditions[number].append(thread)
        lock.unlock()
        execution.note("condition", UInt(number), "is waited for")
        thread.isWoken = false
        execution.point(.sleeps("a condition", mayTimeOut: mayTimeOut))
        let wasWoken = thread.isWoken
        thread.isWoken = false
        execution.conditions[number].removeAll { $0 === thread }
        if !wasWoken { thread.timeouts += 1 }
        execution.note("condition", UInt(number), wasWoken ? "was signalled" : "times out")
        execution.observe(wasWoken ? 1 : 0)
        lock.lock()
        return wasWoken
    }

    borrowing func signal() { wake(1) }
    borrowing func broadcast() { wake(.max) }

    private borrowing func wake(_ most: Int) {
        let execution = Execution.current.unsafelyUnwrapped
        guard let thread = execution.running else { return }
        // Who holds the lock excludes those who begin to wait.
        if thread.locksHeld == 0 { execution.point() }
        var left = most
        while left > 0, !execution.conditions[number].isEmpty {
            // POSIX does not say which of them wakes.
            let index = most == 1 ? execution.choose(execution.conditions[number].count) : 0
            let woken = execution.conditions[number].remove(at: index)
            woken.isWoken = true
            execution.observe(UInt64(index))
            execution.note("condition", UInt(number), "wakes \(woken.name)")
            left -= 1
        }
    }
}
