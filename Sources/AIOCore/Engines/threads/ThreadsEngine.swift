internal import CKernel

/// The engine without io_uring: operations that cannot block are executed immediately, operations on pollable
/// descriptors wait in an epoll, and everything else goes to a bounded pool of workers.
///
/// Two services can replace the workers for one class of operation each (`ThreadsServices`): `LinuxAIOService` and
/// `ReadaheadService`. With one of them this is the engine `linux-aio` or `readahead`. A service takes an operation,
/// and returns it through `Outlets`, either completed or for a worker.
struct ThreadsEngine: ~Copyable, Engine {
    let kind: EngineKind
    var epoll: OwnedEpoll
    let waker: Waker
    var pollSet: PollSet
    var outlets: Outlets
    let guesses = CacheGuesses()
    let services: ThreadsServices
    /// nil unless the engine has these services.
    var linuxAIO: LinuxAIOService?
    var readahead: ReadaheadService?
    private var files = RegisteredFiles()
    private var buffers = RegisteredBuffers()
    let events: UnsafeMutableBufferPointer<ck_epoll_event>
    /// Whether the thread that drives the engine must not block in a read.
    let isLoop: Bool
    /// What executes the work in place of threads, and lets time pass (`WorkByHand`); nil outside of simulations.
    let byHand: HandDrivenPool?
    private(set) var isExported = false
    var isWoken = false
    /// Whether the eventfd of a service was signalled since the last check.
    var isSignalled = false
    /// Whether an epoll exists.
    var canPoll = true

    /// `kind` is the engine as which this one serves; `waker` wakes that engine. `byHand` replaces the threads.
    init(
        _ configuration: EngineConfiguration, as kind: EngineKind, _ services: ThreadsServices = ThreadsServices(),
        _ waker: Waker = Waker(), byHand: HandDrivenPool? = nil
    ) throws(EngineFailure) {
        let epoll = try OwnedEpoll(kind)
        let depth = configuration.placeCount
        linuxAIO =
            switch services.linuxAIO {
            case .none: nil
            case .directTransfers: LinuxAIOService(forTransfersAlone: configuration)
            case .everything: try LinuxAIOService(configuration, epoll)
            }
        readahead = services.readsAhead ? ReadaheadService(capacity: depth) : nil
        let pool = byHand ?? WorkerPool(capacity: depth, limit: configuration.workerLimit, waker)
        self.byHand = byHand
        pollSet = PollSet(epoll, capacity: depth)
        outlets = Outlets(pool, capacity: depth)
        // What one epoll_wait(2) takes; the next turn takes the rest.
        events = .allocate(capacity: 64)
        waker.follow(epoll: epoll.number, epoll.timer)
        isLoop = configuration.hasDedicatedThread
        self.services = services
        self.epoll = epoll
        self.waker = waker
        self.kind = kind
        pool.startFirst()
    }

    deinit {
        outlets.pool.shutDown()
        events.deallocate()
    }

    var descriptor: Int32 { epoll.number }

    // MARK: Down

    mutating func stage(_ operation: Operation, _ token: Token) {
        guard let admitted = admit(operation, token) else { return }
        if services.linuxAIO != .none, linuxAIO?.take(admitted, token, epoll) == true { return }
        stage(admitted: admitted, token)
    }

    /// Resolves a registered descriptor and determines its kind if needed. nil if the operation was refused, and has
    /// completed with an error.
    private mutating func admit(_ operation: Operation, _ token: Token) -> Operation? {
        guard let descriptor = operation.descriptor else { return operation }
        guard let known = operation.traits.needsKind ? known(descriptor) : files.resolve(descriptor) else {
            outlets.complete(token, -Int(EBADF))
            return nil
        }
        var operation = operation.on(known)
        if let other = operation.otherDescriptor, other.isRegistered {
            guard let resolved = files.resolve(other) else {
                outlets.complete(token, -Int(EBADF))
                return nil
            }
            operation = operation.onOther(resolved)
        }
        guard buffers.allows(operation) else {
            outlets.complete(token, -Int(EFAULT))
            return nil
        }
        return operation
    }

    /// The descriptor as a number with its kind. nil for an index without a registered file.
    private func known(_ descriptor: Descriptor) -> Descriptor? {
        guard let resolved = files.resolve(descriptor) else { return nil }
        return resolved.kind == .unknown ? .classify(resolved.number) : resolved
    }

    mutating func requestCancel(_ token: Token) {
        if linuxAIO?.requestCancel(token, &outlets) == true { return }
        if readahead?.requestCancel(token, &outlets) == true { return }
        // Staged work is handed to the pool first, so that the pool is the only place to search.
        outlets.flush()
        if outlets.pool.remove(token) {
            pollSet.workerEnded(token)
        } else if !pollSet.remove(token) {
            // A worker is executing it, and reports the result.
            return
        }
        outlets.complete(token, -Int(ECANCELED))
    }

    // MARK: Up

    mutating func drain(into completions: UnsafeMutableBufferPointer<Completion>) -> Int {
        linuxAIO?.takeEvents(&outlets)
        takeFinished()
        var count = 0
        while count < completions.count, let completion = outlets.completed.popFirst() {
            completions.initializeElement(at: count, to: completion)
            count += 1
        }
        if isExported, outlets.completed.isEmpty { callWorkersToWake() }
        if readahead != nil { readOn(after: completions[..<count]) }
        return count
    }

    mutating func takeFinished() {
        outlets.pool.takeFinished(into: &outlets.completed) { token in
            if pollSet.waiterCount > 0 { pollSet.workerEnded(token) }
        }
    }

    /// The first worker to finish makes the descriptor readable; so does a worker that has already finished.
    private func callWorkersToWake() {
        if !outlets.pool.finished.fallAsleep() { wake() }
    }

    func wake() { waker.wake() }

    /// Takes effect with the drain that follows, as after each `enter`.
    mutating func exportDescriptor() { isExported = true }

    // MARK: Registering

    mutating func register(files numbers: UnsafeBufferPointer<Int32>) -> Int { files.register(numbers) }
    mutating func unregisterFiles() -> Int { files.unregister() }
    mutating func register(buffers vectors: UnsafeBufferPointer<iovec>) -> Int { buffers.register(vectors) }
    mutating func unregisterBuffers() -> Int { buffers.unregister() }
}
