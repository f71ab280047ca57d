internal import CKernel

/// The engine for where io_uring is not allowed: what can be done without waiting is done at once, what can be
/// polled waits in an epoll, and the rest goes to a bounded pool of workers.
///
/// Other engines are made of it, which take some operations for themselves: they put their completions among those
/// here, and may have a descriptor of theirs in the epoll.
struct ThreadsEngine: ~Copyable, Engine {
    private var epoll: OwnedEpoll
    private let waker: Waker
    private let pool: WorkerPool
    private var pollSet: PollSet
    /// For the workers at the next `enter`: one lock and one wake-up for all of them.
    private var outgoing: FixedQueue<WorkItem>
    /// Completed here, without a worker.
    private var completed: FixedQueue<Completion>
    private var files = RegisteredFiles()
    private var buffers = RegisteredBuffers()
    private let events: UnsafeMutableBufferPointer<ck_epoll_event>
    private var isExported = false
    private var isWoken = false
    /// Whether the descriptor given to `watch` was signalled since it was last asked.
    private var isSignalled = false

    private let kind: EngineKind
    /// How often the descriptors were made anew.
    private(set) var renewalCount = 0
    /// Whether there is an epoll to wait in.
    private var canPoll = true

    /// So long it may take at most until the engine finds that the program has closed its descriptors, which nothing tells.
    private static var checkTime: Nanoseconds { 500_000_000 }
    /// The same while it has none, for want of numbers.
    private static var retryTime: Nanoseconds { 10_000_000 }

    /// `kind` is who is made of it, and `waker` what wakes that.
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

    /// The operation on a descriptor by its number and with its kind. nil if it is refused, and has completed.
    mutating func admit(_ operation: Operation, _ token: Token) -> Operation? {
        guard let descriptor = operation.descriptor else { return operation }
        guard let known = operation.needsKind ? known(descriptor) : files.resolve(descriptor) else {
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
        case .read(let transfer), .readVectored(let transfer):
            stage(operation, token, transfer, isWrite: false)
        case .write(let transfer), .writeVectored(let transfer):
            stage(operation, token, transfer, isWrite: true)
        case .socket(let call): stage(call, operation, token)
        case .waitForChild(let child, _, _): tryOrWait(operation, token, child, .reading)
        default: outgoing.append(WorkItem(operation, token))
        }
    }

    private mutating func stage(_ call: SocketCall, _ operation: Operation, _ token: Token) {
        // A name in the file system has to be looked up there.
        guard !call.isForWorker else { return outgoing.append(WorkItem(operation, token)) }
        guard let interest = call.interest, let descriptor = call.descriptor else {
            return complete(token, call.attempt())
        }
        tryOrWait(operation, token, descriptor, interest)
    }

    /// For what waits and is no transfer.
    private mutating func tryOrWait(
        _ operation: Operation, _ token: Token, _ descriptor: Descriptor, _ interest: PollSet.Interest
    ) {
        // Those that came first go first; but nothing can be sent before a connection was begun.
        guard mayTry(operation, descriptor, interest) || operation.isWithoutWaiting || operation.isConnect else {
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

    private func mayTry(_ operation: Operation, _ descriptor: Descriptor, _ interest: PollSet.Interest) -> Bool {
        if case .socket(let call) = operation, call.waitsFirst { return false }
        return !pollSet.hasWaiters(descriptor.number, interest)
    }

    /// The descriptor by its number and with its kind. nil for an index at which no file is registered.
    private func known(_ descriptor: Descriptor) -> Descriptor? {
        guard let resolved = files.resolve(descriptor) else { return nil }
        return resolved.kind == .unknown ? .classify(resolved.number) : resolved
    }

    private mutating func stage(_ operation: Operation, _ token: Token, _ transfer: Transfer, isWrite: Bool) {
        switch transfer.descriptor.kind {
        case .stream:
            let interest: PollSet.Interest = isWrite ? .writing : .reading
            // Those that came first go first.
            guard !pollSet.hasWaiters(transfer.descriptor.number, interest) || transfer.flags.contains(.noWait) else {
                return wait(operation, token, transfer.descriptor, interest, 0)
            }
            switch StreamAttempt(operation, transfer, isWrite: isWrite) {
            case .done(let result): complete(token, result)
            case .notReady: wait(operation, token, transfer.descriptor, interest, 0)
            case .needsWorker:
                pollSet.addWithWorker(operation, token, transfer.descriptor.number, interest)
                outgoing.append(WorkItem(operation, token))
            }
        case .buffered where !isWrite:
            if let result = cachedRead(operation, transfer) { return complete(token, result) }
            outgoing.append(WorkItem(operation, token))
        default:
            outgoing.append(WorkItem(operation, token))
        }
    }

    /// What the page cache holds is read on the spot. nil if it does not hold it, or cannot tell.
    func cachedRead(_ operation: Operation, _ transfer: Transfer) -> Int? {
        if transfer.flags.contains(.noWait) { return operation.attempt(transfer, flags: transfer.flags.kernelFlags) }
        var isVectored = false
        if case .readVectored = operation { isVectored = true }
        // At the current position a read that got a part could not be begun again.
        guard transfer.flags.isDisjoint(with: [.cacheMissed, .throughPageCache]),
            transfer.offset != Transfer.currentPosition,
            transfer.byteCount(isVectored: isVectored) <= Transfer.inlineLimit
        else { return nil }
        let result = operation.attemptWithoutWaiting(transfer)
        return result == -Int(EAGAIN) || result == -Int(EOPNOTSUPP) ? nil : result
    }

    private mutating func wait(
        _ operation: Operation, _ token: Token, _ descriptor: Descriptor, _ interest: PollSet.Interest,
        _ events: UInt32
    ) {
        let result = pollSet.add(operation, token, descriptor.number, interest, completed: &completed)
        guard result < 0 else { return }
        guard result == -Int(EPERM) else { return complete(token, result) }
        // epoll refuses files that are always ready.
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
        // What is staged and not yet with the pool goes there first, so that there is one place to look.
        pool.add(&outgoing)
        if pool.remove(token) {
            pollSet.workerEnded(token)
        } else if !pollSet.remove(token) {
            // A worker is at it, and its result is the answer.
            return
        }
        complete(token, -Int(ECANCELED))
    }

    // MARK: For an engine made of this one

    /// Completions that can be drained.
    var completedCount: Int { completed.count }

    /// A worker carries it out, from the next `enter` or `flush` on.
    mutating func sendToWorker(_ operation: Operation, _ token: Token) { outgoing.append(WorkItem(operation, token)) }

    mutating func flush() { pool.add(&outgoing) }

    /// Brings in what has completed, without waiting. Whether a wait would have been ended.
    mutating func look() -> Bool {
        poll(until: 0)
        takeFinished()
        defer {
            isWoken = false
            isSignalled = false
        }
        return isWoken || isSignalled
    }

    /// From now on a write to this eventfd ends a wait.
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
            // From here on the workers wake us.
            if pool.finished.fallAsleep() {
                hasPolled = true
                if !wait(until: deadline) { break }
            }
            takeFinished()
        }
        // However fast the workers are, what waits for a descriptor is looked after in every turn.
        if !hasPolled, pollSet.waiterCount > 0 || isExported { poll(until: 0) }
        takeFinished()
        isWoken = false
        isSignalled = false
    }

    /// Waits for events. False if the caller is to look at everything, since the deadline passed, or it is time for that.
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

    /// The program has closed the descriptors: makes others, behind which everything waits that can.
    private mutating func renew() {
        renewalCount += 1
        // Whoever was woken in vain meanwhile has left something to be seen.
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
            // EBADF, or EINVAL of what is no epoll.
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
                // Of another epoll, which has the number now.
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

    /// A drain follows, as it does each `enter`.
    mutating func exportDescriptor() { isExported = true }

    /// The first worker to finish makes the descriptor readable; now, if one has already.
    private func callWorkersToWake() {
        if !pool.finished.fallAsleep() { wake() }
    }

    // MARK: Registering

    mutating func register(files numbers: UnsafeBufferPointer<Int32>) -> Int { files.register(numbers) }
    mutating func unregisterFiles() -> Int { files.unregister() }
    mutating func register(buffers vectors: UnsafeBufferPointer<iovec>) -> Int { buffers.register(vectors) }
    mutating func unregisterBuffers() -> Int { buffers.unregister() }
}
