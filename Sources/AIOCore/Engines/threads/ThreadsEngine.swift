internal import CKernel

/// The engine for where io_uring is not allowed: what can be done without waiting is done at once, what can be
/// polled waits in an epoll, and the rest goes to a bounded pool of workers.
struct ThreadsEngine: ~Copyable, Engine {
    private let epoll: OwnedDescriptor
    private let wakeDescriptor: OwnedDescriptor
    private let pool: WorkerPool
    private var pollSet: PollSet
    /// For the workers at the next `enter`: one lock and one wake-up for all of them.
    private var outgoing: FixedQueue<WorkItem>
    /// Completed here, without a worker.
    private var completed: FixedQueue<Completion>
    private var files = RegisteredFiles()
    private var buffers = RegisteredBuffers()
    /// For a guest.
    private let events: UnsafeMutableBufferPointer<ck_epoll_event>
    private var isExported = false
    private var isWoken = false

    private static var wakeTag: UInt64 { .max }

    init(_ configuration: EngineConfiguration) throws(EngineFailure) {
        let epoll = try OwnedDescriptor(
            Kernel.epollCreate(), .threads, .descriptors, isGuest: configuration.isGuest)
        let wakeDescriptor = try OwnedDescriptor(
            Kernel.eventDescriptor(), .threads, .descriptors, isGuest: configuration.isGuest)
        // Edge-triggered: every write to the eventfd is one event, and nobody has to read it back to zero.
        let added = Kernel.epollControl(
            epoll.number, CK_EPOLL_CTL_ADD, wakeDescriptor.number, CK_POLLIN | CK_EPOLLET, Self.wakeTag)
        guard added >= 0 else {
            throw EngineFailure(engine: .threads, step: .descriptors, errno: Int32(-added))
        }
        let depth = configuration.queueDepth
        pool = WorkerPool(capacity: depth, limit: configuration.workerLimit, wakeDescriptor: wakeDescriptor.number)
        pollSet = PollSet(epoll: epoll.number, capacity: depth)
        outgoing = FixedQueue(capacity: depth)
        completed = FixedQueue(capacity: depth)
        events = .allocate(capacity: 64)
        self.epoll = epoll
        self.wakeDescriptor = wakeDescriptor
    }

    deinit {
        pool.shutDown()
        events.deallocate()
    }

    var descriptor: Int32 { epoll.number }

    // MARK: Staging

    mutating func stage(_ operation: Operation, _ token: Token) {
        guard let descriptor = operation.descriptor else {
            if case .nop = operation { return complete(token, 0) }
            return outgoing.append(WorkItem(operation, token))
        }
        guard let known = known(descriptor) else { return complete(token, -Int(EBADF)) }
        let operation = operation.on(known)
        if case .poll(_, let events) = operation {
            wait(operation, token, known, .polling, events)
        } else if let (transfer, isWrite) = operation.transfer {
            guard buffers.allows(operation) else { return complete(token, -Int(EFAULT)) }
            stage(operation, token, transfer, isWrite: isWrite)
        } else {
            outgoing.append(WorkItem(operation, token))
        }
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
    private func cachedRead(_ operation: Operation, _ transfer: Transfer) -> Int? {
        if transfer.flags.contains(.noWait) { return operation.attempt(transfer, flags: transfer.flags.kernelFlags) }
        var isVectored = false
        if case .readVectored = operation { isVectored = true }
        // At the current position a read that got a part could not be begun again.
        guard !transfer.flags.contains(.cacheMissed), transfer.offset != Transfer.currentPosition,
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

    private mutating func complete(_ token: Token, _ result: Int) {
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

    // MARK: Waiting

    mutating func enter(atLeast count: Int, until deadline: Nanoseconds) {
        pool.add(&outgoing)
        takeFinished()
        if count == 0 {
            if pollSet.waiterCount > 0 || isExported { poll(until: 0) }
        } else {
            while completed.count < count, !isWoken {
                // From here on the workers wake us.
                if pool.finished.fallAsleep() {
                    let now = poll(until: deadline)
                    if !now, deadline != .never, Kernel.now() >= deadline { break }
                }
                takeFinished()
            }
        }
        takeFinished()
        isWoken = false
    }

    private mutating func takeFinished() {
        pool.takeFinished(into: &completed) { token in
            if pollSet.waiterCount > 0 { pollSet.workerEnded(token) }
        }
    }

    /// Waits for events and handles them. False if there were none.
    @discardableResult
    private mutating func poll(until deadline: Nanoseconds) -> Bool {
        let count = Kernel.epollWait(epoll.number, events.baseAddress!, events.count, until: deadline)
        guard count > 0 else { return false }
        for event in events[..<count] {
            if event.data == Self.wakeTag {
                isWoken = true
            } else {
                pollSet.handle(event, completed: &completed, outgoing: &outgoing)
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

    func wake() { Kernel.wake(wakeDescriptor.number) }

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
