internal import CKernel

/// The engine without io_uring: operations that cannot block are executed immediately, operations on pollable
/// descriptors wait in an epoll, and everything else goes to a bounded pool of workers.
///
/// Other engines build on it and execute some operations themselves: they add their completions to this engine's, and
/// may register a descriptor in its epoll.
struct ThreadsEngine: ~Copyable, Engine {
    private var epoll: OwnedEpoll
    private let waker: Waker
    private let pool: WorkerPool
    private var pollSet: PollSet
    /// Work items for the next `enter`: one lock and one wake-up for the whole batch.
    private var outgoing: FixedQueue<WorkItem>
    /// Completed without a worker.
    private var completed: FixedQueue<Completion>
    private var files = RegisteredFiles()
    private var buffers = RegisteredBuffers()
    private let events: UnsafeMutableBufferPointer<ck_epoll_event>
    private var isExported = false
    private var isWoken = false
    /// Whether the descriptor passed to `watch` was signalled since the last check.
    private var isSignalled = false

    private let kind: EngineKind
    /// How often the engine's descriptors were recreated.
    private(set) var renewalCount = 0
    /// Whether an epoll exists.
    private var canPoll = true

    /// How long it may take to notice that the program closed the engine's descriptors: nothing reports that, so they
    /// are checked at this interval.
    private static var checkTime: Nanoseconds { 500_000_000 }
    /// The interval of attempts to recreate them while the descriptor limit is reached.
    private static var retryTime: Nanoseconds { 10_000_000 }

    /// `kind` is the engine that this one is part of; `waker` wakes that engine.
    init(
        _ configuration: EngineConfiguration, for kind: EngineKind = .threads, _ waker: Waker = Waker()
    ) throws(EngineFailure) {
        let epoll = try OwnedEpoll(kind)
        let depth = configuration.placeCount
        pool = WorkerPool(capacity: depth, limit: configuration.workerLimit, waker)
        pollSet = PollSet(epoll, capacity: depth)
        outgoing = FixedQueue(capacity: depth)
        completed = FixedQueue(capacity: depth)
        events = .allocate(capacity: 64)
        waker.follow(epoll: epoll.number, epoll.timer)
        self.epoll = epoll
        self.waker = waker
        self.kind = kind
        pool.startFirst()
    }

    deinit {
        pool.shutDown()
        events.deallocate()
    }

    var descriptor: Int32 { epoll.number }

    // MARK: Staging

    mutating func stage(_ operation: Operation, _ token: Token) {
        guard let admitted = admit(operation, token) else { return }
        stage(admitted: admitted, token)
    }

    /// Resolves a registered descriptor and determines its kind if needed. nil if the operation was refused, and has
    /// completed with an error.
    mutating func admit(_ operation: Operation, _ token: Token) -> Operation? {
        guard let descriptor = operation.descriptor else { return operation }
        guard let known = operation.traits.needsKind ? known(descriptor) : files.resolve(descriptor) else {
            complete(token, -Int(EBADF))
            return nil
        }
        var operation = operation.on(known)
        if let other = operation.otherDescriptor, other.isRegistered {
            guard let resolved = files.resolve(other) else {
                complete(token, -Int(EBADF))
                return nil
            }
            operation = operation.onOther(resolved)
        }
        guard buffers.allows(operation) else {
            complete(token, -Int(EFAULT))
            return nil
        }
        return operation
    }

    mutating func stage(admitted operation: Operation, _ token: Token) {
        switch operation {
        case .nop: complete(token, 0)
        case .poll(let descriptor, let events): wait(operation, token, descriptor, .polling, events)
        case .transfer(let transfer): stage(operation, token, transfer)
        case .socket(let call): stage(call, operation, token)
        case .waitForChild(let child, _, _): tryOrWait(operation, token, child, .reading)
        default: outgoing.append(WorkItem(operation, token))
        }
    }

    private mutating func stage(_ call: SocketCall, _ operation: Operation, _ token: Token) {
        // Looking up a path in a file system may block.
        guard !call.isForWorker else { return outgoing.append(WorkItem(operation, token)) }
        let traits = call.traits
        guard let interest = traits.interest, let descriptor = traits.descriptor else {
            return complete(token, call.attempt())
        }
        tryOrWait(operation, token, descriptor, interest)
    }

    /// For operations that wait for readiness, other than transfers.
    private mutating func tryOrWait(
        _ operation: Operation, _ token: Token, _ descriptor: Descriptor, _ interest: Interest
    ) {
        // FIFO order: earlier waiters go first. A connect is exempt, since no operation can make progress before it.
        guard mayTry(operation, descriptor, interest) || operation.traits.isWithoutWaiting || operation.isConnect else {
            return wait(operation, token, descriptor, interest, 0)
        }
        switch operation.attemptWaiting(isBegun: false) {
        case .done(let result): complete(token, result)
        case .notReady: wait(operation, token, descriptor, interest, 0)
        case .needsWorker:
            pollSet.addWithWorker(operation, token, descriptor.number, interest)
            outgoing.append(WorkItem(operation, token))
        }
    }

    private func mayTry(_ operation: Operation, _ descriptor: Descriptor, _ interest: Interest) -> Bool {
        if case .socket(let call) = operation, call.waitsFirst { return false }
        return !pollSet.hasWaiters(descriptor.number, interest)
    }

    /// The descriptor as a number with its kind. nil for an index without a registered file.
    private func known(_ descriptor: Descriptor) -> Descriptor? {
        guard let resolved = files.resolve(descriptor) else { return nil }
        return resolved.kind == .unknown ? .classify(resolved.number) : resolved
    }

    private mutating func stage(_ operation: Operation, _ token: Token, _ transfer: Transfer) {
        switch transfer.descriptor.kind {
        case .stream:
            let interest: Interest = transfer.isWrite ? .writing : .reading
            // FIFO order: earlier waiters go first.
            guard !pollSet.hasWaiters(transfer.descriptor.number, interest) || transfer.flags.contains(.noWait) else {
                return wait(operation, token, transfer.descriptor, interest, 0)
            }
            switch StreamAttempt(transfer) {
            case .done(let result): complete(token, result)
            case .notReady: wait(operation, token, transfer.descriptor, interest, 0)
            case .needsWorker:
                pollSet.addWithWorker(operation, token, transfer.descriptor.number, interest)
                outgoing.append(WorkItem(operation, token))
            }
        case .buffered where !transfer.isWrite:
            if transfer.mayBeAsked(), case .done(let result) = transfer.ask() { return complete(token, result) }
            outgoing.append(WorkItem(operation, token))
        default:
            outgoing.append(WorkItem(operation, token))
        }
    }

    private mutating func wait(
        _ operation: Operation, _ token: Token, _ descriptor: Descriptor, _ interest: Interest,
        _ events: UInt32
    ) {
        let result = pollSet.add(operation, token, descriptor.number, interest, completed: &completed)
        guard result < 0 else { return }
        guard result == -Int(EPERM) else { return complete(token, result) }
        // epoll refuses files that are always ready (EPERM).
        if interest == .polling {
            complete(token, Int(events & (CK_POLLIN | CK_POLLOUT | CK_POLLRDNORM | CK_POLLWRNORM)))
        } else {
            outgoing.append(WorkItem(operation, token))
        }
    }

    mutating func complete(_ token: Token, _ result: Int) {
        completed.append(Completion(token, result: Int32(truncatingIfNeeded: result)))
    }

    mutating func requestCancel(_ token: Token) {
        // Staged work is handed to the pool first, so that the pool is the only place to search.
        pool.add(&outgoing)
        if pool.remove(token) {
            pollSet.workerEnded(token)
        } else if !pollSet.remove(token) {
            // A worker is executing it, and reports the result.
            return
        }
        complete(token, -Int(ECANCELED))
    }

    // MARK: For an engine made of this one

    /// Completions that can be drained.
    var completedCount: Int { completed.count }

    /// Has a worker execute the operation, from the next `enter` or `flush` on.
    mutating func sendToWorker(_ operation: Operation, _ token: Token) { outgoing.append(WorkItem(operation, token)) }

    mutating func flush() { pool.add(&outgoing) }

    /// Collects completions without waiting. Returns whether a wake-up or signal is pending, which would have ended a
    /// wait.
    mutating func look() -> Bool {
        poll(until: 0)
        takeFinished()
        defer {
            isWoken = false
            isSignalled = false
        }
        return isWoken || isSignalled
    }

    /// From now on a write to this eventfd ends a wait. Edge-triggered.
    func watch(_ eventDescriptor: Int32) -> Int {
        Kernel.epollControl(
            epoll.number, CK_EPOLL_CTL_ADD, eventDescriptor, CK_POLLIN | CK_EPOLLET,
            OwnedEpoll.data(epoll.timer, .signal))
    }

    // MARK: Waiting

    mutating func enter(atLeast count: Int, until deadline: Nanoseconds) {
        pool.add(&outgoing)
        if pool.isShortOfThreads { pool.help() }
        takeFinished()
        var hasPolled = false
        while completed.count < count, !isWoken, !isSignalled {
            // From here on workers wake the engine.
            if pool.finished.fallAsleep() {
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

    /// Waits for events. False if `enter` must return: the deadline passed, or it is time to check everything.
    private mutating func wait(until deadline: Nanoseconds) -> Bool {
        let step = canPoll && !pool.isShortOfThreads ? Self.checkTime : Self.retryTime
        let look = Kernel.now() &+ step
        guard canPoll else {
            Kernel.sleep(until: min(deadline, look))
            renew()
            return false
        }
        if poll(until: min(deadline, look)) { return true }
        let now = Kernel.now()
        if now >= look, !epoll.check() { renew() }
        return now < min(deadline, look)
    }

    /// The program closed the descriptors: creates new ones and moves all waiters to them.
    private mutating func renew() {
        renewalCount += 1
        // A wake-up of the old descriptors may have been lost: treat it as one.
        isWoken = true
        do throws(EngineFailure) {
            let made = try OwnedEpoll(kind)
            pollSet.move(to: made, completed: &completed)
            waker.follow(epoll: made.number, made.timer)
            epoll = made
            canPoll = true
        } catch {
            canPoll = false
        }
    }

    private mutating func takeFinished() {
        pool.takeFinished(into: &completed) { token in
            if pollSet.waiterCount > 0 { pollSet.workerEnded(token) }
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
                pollSet.handle(entry, event.events, completed: &completed, outgoing: &outgoing)
            case nil:
                // An event of another epoll, which now has the number.
                renew()
                return true
            }
        }
        pool.add(&outgoing)
        return true
    }

    mutating func drain(into completions: UnsafeMutableBufferPointer<Completion>) -> Int {
        takeFinished()
        var count = 0
        while count < completions.count, let completion = completed.popFirst() {
            completions.initializeElement(at: count, to: completion)
            count += 1
        }
        if isExported, completed.isEmpty { callWorkersToWake() }
        return count
    }

    func wake() { waker.wake() }

    /// Takes effect with the drain that follows, as after each `enter`.
    mutating func exportDescriptor() { isExported = true }

    /// The first worker to finish makes the descriptor readable; so does a worker that has already finished.
    private func callWorkersToWake() {
        if !pool.finished.fallAsleep() { wake() }
    }

    // MARK: Registering

    mutating func register(files numbers: UnsafeBufferPointer<Int32>) -> Int { files.register(numbers) }
    mutating func unregisterFiles() -> Int { files.unregister() }
    mutating func register(buffers vectors: UnsafeBufferPointer<iovec>) -> Int { buffers.register(vectors) }
    mutating func unregisterBuffers() -> Int { buffers.unregister() }
}
