internal import CKernel

/// One turn of `threads`: submits what is staged, waits, and collects completions. The turns are nested: Linux AIO
/// encloses readahead, which encloses the turn without services.
extension ThreadsEngine {
    mutating func enter(atLeast count: Int, until deadline: Nanoseconds) {
        guard linuxAIO != nil else { return takeReadaheadTurn(atLeast: count, until: deadline) }
        while let (operation, token) = linuxAIO?.submit() { standIn(operation, token) }
        linuxAIO?.takeEvents(&outlets)
        let look = linuxAIO?.lookTime(until: deadline) ?? deadline
        takeReadaheadTurn(atLeast: count, until: look)
        linuxAIO?.takeEvents(&outlets)
    }

    /// Executes what the kernel refused: the system call reports a more precise error, and waits for a resource that is
    /// only busy.
    private mutating func standIn(_ operation: Operation, _ token: Token) {
        if case .poll = operation {
            // For example a poll of a file that is always ready.
            stage(admitted: operation, token)
        } else {
            outlets.sendToWorker(operation, token)
        }
    }

    // MARK: With readahead

    private mutating func takeReadaheadTurn(atLeast count: Int, until deadline: Nanoseconds) {
        guard readahead != nil else { return takeOwnTurn(atLeast: count, until: deadline) }
        readahead?.startFresh()
        if mayBlock, count > 0 { return readWhileWaiting(atLeast: count, until: deadline) }
        // A caller that never waits also makes progress.
        readahead?.collect(&outlets, missesMax: 1)
        guard !mayBlock else { return takeOwnTurn(atLeast: 0, until: 0) }
        readahead?.delegateOldest(&outlets)
        // At most one turn of the engine's own per call: an earlier one could consume a wake-up.
        takeOwnTurn(atLeast: count, until: deadline)
        // The worker's read has completed, and others probably have too.
        readahead?.collect(&outlets)
        readahead?.delegateOldest(&outlets)
    }

    /// Whether a thread that waits may execute a read itself.
    private var mayBlock: Bool { !isLoop && !isExported }

    private mutating func readWhileWaiting(atLeast count: Int, until deadline: Nanoseconds) {
        while true {
            readahead?.collect(&outlets)
            // Also polls streams if operations wait for them; costs nothing otherwise.
            if outlets.completed.count >= count { return takeOwnTurn(atLeast: 0, until: 0) }
            if look() || outlets.completed.count >= count { break }
            guard readahead?.readOldest(&outlets) == true else {
                return takeOwnTurn(atLeast: count, until: deadline)
            }
            if deadline != .never, Kernel.now() >= deadline { break }
        }
    }

    /// Collects completions without waiting. Returns whether a wake-up or signal is pending, which would have ended a
    /// wait.
    private mutating func look() -> Bool {
        poll(until: 0)
        takeFinished()
        defer {
            isWoken = false
            isSignalled = false
        }
        return isWoken || isSignalled
    }

    /// After a drain.
    mutating func readOn(after completions: Slice<UnsafeMutableBufferPointer<Completion>>) {
        readahead?.noteDrained(completions)
        // A caller that waits on the exported descriptor alone may not return before it is readable.
        if !mayBlock { readahead?.delegateOldest(&outlets) }
    }

    // MARK: Without a service

    private mutating func takeOwnTurn(atLeast count: Int, until deadline: Nanoseconds) {
        outlets.flush()
        if outlets.pool.isShortOfThreads { outlets.pool.help() }
        takeFinished()
        var hasPolled = false
        while outlets.completed.count < count, !isWoken, !isSignalled {
            // From here on workers wake the engine.
            if outlets.pool.finished.fallAsleep() {
                hasPolled = true
                if !wait(until: deadline) { break }
            }
            takeFinished()
        }
        // Even if workers are fast enough that no wait happens, each turn polls for the operations that wait for a
        // descriptor.
        if !hasPolled, pollSet.waiterCount > 0 || isExported { poll(until: 0) }
        takeFinished()
        isWoken = false
        isSignalled = false
    }

    /// How long it may take to notice that the program closed the engine's descriptors: nothing reports that, so they
    /// are checked at this interval.
    private static var checkTime: Nanoseconds { 500_000_000 }
    /// The interval of attempts to recreate them while the descriptor limit is reached.
    private static var retryTime: Nanoseconds { 10_000_000 }

    /// Waits for events. False if the turn must end: the deadline passed, or it is time to check everything.
    private mutating func wait(until deadline: Nanoseconds) -> Bool {
        let step = canPoll && !outlets.pool.isShortOfThreads ? Self.checkTime : Self.retryTime
        let look = Kernel.now() &+ step
        guard canPoll else {
            Kernel.sleep(until: min(deadline, look))
            renew()
            return false
        }
        if poll(until: min(deadline, look)) { return true }
        if let byHand { return byHand.wait(deadline) }
        let now = Kernel.now()
        if now >= look, !epoll.check() { renew() }
        return now < min(deadline, look)
    }

    /// The program closed the descriptors: creates new ones and moves all waiters to them.
    private mutating func renew() {
        // A wake-up of the old descriptors may have been lost: treat it as one.
        isWoken = true
        do throws(EngineFailure) {
            let made = try OwnedEpoll(kind)
            pollSet.move(to: made, completed: &outlets.completed)
            waker.follow(epoll: made.number, made.timer)
            epoll = made
            canPoll = true
            linuxAIO?.renewEvent(epoll)
        } catch {
            canPoll = false
        }
    }

    /// Waits for events and handles them. False if there were none.
    @discardableResult
    private mutating func poll(until deadline: Nanoseconds) -> Bool {
        guard canPoll else { return false }
        let count = Kernel.epollWait(epoll.number, events.baseAddress!, events.count, until: deadline)
        guard count > 0 else {
            // EBADF, or EINVAL if the number belongs to a file that is not an epoll.
            guard count < 0, count != -Int(EINTR) else { return false }
            renew()
            return true
        }
        for event in events[..<count] {
            switch epoll.entry(of: event) {
            case .wake?: isWoken = true
            case .signal?: isSignalled = true
            case .index(let entry)?:
                pollSet.handle(entry, event.events, completed: &outlets.completed, outgoing: &outlets.outgoing)
            case nil:
                // An event of another epoll, which now has the number.
                renew()
                return true
            }
        }
        outlets.flush()
        return true
    }
}
