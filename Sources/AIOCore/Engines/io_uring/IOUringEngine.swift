internal import CKernel
internal import Synchronization

/// The engine over io_uring: operations go into the ring. What the running kernel's ring does not support (ftruncate
/// before 6.9, for example) goes to workers.
///
/// A ring can become unusable: a seccomp(2) filter that the program loads later forbids io_uring_enter(2), or the
/// program closes the ring's descriptor. The ring is then *lost*, and the engine `threads` stands in
/// (`LostRing.swift`).
struct IOUringEngine: ~Copyable, Engine {
    var ring: Ring
    let waker = Waker()
    /// The timer that the ring polls where it cannot wait for a futex word (before 6.7).
    private let wakeTimer: MarkedTimer?
    private let supportedOpcodes: UInt64
    let configuration: EngineConfiguration
    /// Created on first use.
    private var pool: WorkerPool?
    private var outgoing: FixedQueue<WorkItem>
    /// Completed by workers, or without entering the ring.
    var completedHere: FixedQueue<Completion>
    /// By slot, the token of the operation in the ring, and the number of those.
    let ringTokens: UnsafeMutablePointer<UInt64>
    private(set) var ringCount = 0
    /// The errno with which the ring was lost, or 0; and the engine that stands in, nil before the loss and if it
    /// cannot be created.
    var lostErrno: Int32 = 0
    var standIn: UnsafeMutablePointer<ThreadsEngine>?
    private var remote: RemoteGate
    var postponed: PostponedEntries
    /// By slot, the result of a zero-copy send until the kernel releases the caller's memory. Allocated on first use.
    private var zeroCopyResults: UnsafeMutablePointer<Int32>?
    private var isWakeArmed = false
    private(set) var isExported = false
    /// The descriptors behind the ring's registered files, for workers.
    private(set) var files = RegisteredFiles()
    /// For a guest; nil otherwise.
    let holds: FileHolds?

    // The top bit of `user_data` marks the engine's own entries; tokens do not use it.
    private static var wakeTag: UInt64 { 1 << 63 }
    fileprivate static var cancelTag: UInt64 { 1 << 63 | 1 }

    /// Available together since 5.15.
    private static var requiredFeatures: UInt32 {
        CK_URING_FEATURE_NODROP | CK_URING_FEATURE_SUBMIT_STABLE | CK_URING_FEATURE_RW_CUR_POS
            | CK_URING_FEATURE_FAST_POLL | CK_URING_FEATURE_EXT_ARG | CK_URING_FEATURE_NATIVE_WORKERS
    }

    init(_ configuration: EngineConfiguration) throws(EngineFailure) {
        // Room for each operation of the queue depth and a cancel of each, independent of what the kernel has consumed:
        // staging always finds room. Waits exceed this only when many connections start at once; the kernel then
        // consumes entries in between. The completion ring has room for everything.
        let submissions = 2 * configuration.queueDepth + 2
        var ring = try Ring(
            entries: UInt32(submissions), completions: UInt32(2 * submissions + configuration.waitingLimit),
            isDedicated: configuration.hasDedicatedThread && !configuration.isGuest)
        guard ring.parameters.features & Self.requiredFeatures == Self.requiredFeatures else {
            throw EngineFailure(engine: .ioUring, step: .ringFeatures, errno: 0)
        }
        try Self.tryOut(&ring)
        // A guest's other threads take holds through the ring's descriptor.
        if configuration.hasDedicatedThread { ring.registerWithThread(keepsNumber: configuration.isGuest) }
        let opcodes = ring.supportedOpcodes()
        let wakeTimer = try Self.makeTimer(opcodes, configuration)
        if let wakeTimer { waker.follow(epoll: -1, wakeTimer) }
        holds = configuration.isGuest ? Self.makeHolds(ring, configuration.queueDepth) : nil
        ring.limitWorkers(configuration.workerLimit)
        supportedOpcodes = opcodes
        self.wakeTimer = wakeTimer
        remote = RemoteGate(
            limit: configuration.remoteLimit, capacity: configuration.placeCount)
        postponed = PostponedEntries(capacity: configuration.placeCount)
        outgoing = FixedQueue(capacity: configuration.placeCount)
        completedHere = FixedQueue(capacity: configuration.placeCount)
        ringTokens = .allocate(capacity: configuration.placeCount)
        ringTokens.initialize(repeating: .max, count: configuration.placeCount)
        self.ring = ring
        self.configuration = configuration
        if configuration.hasDedicatedThread { armWake() }
    }

    /// Submits a nop: ring set-up can succeed where io_uring_enter(2) is forbidden.
    private static func tryOut(_ ring: inout Ring) throws(EngineFailure) {
        guard let entry = ring.nextSubmission() else { return }
        entry.pointee.opcode = CK_URING_OP_NOP
        entry.pointee.user_data = cancelTag
        let entered = ring.enter(atLeast: 0, until: 0)
        // After a transient error the nop stays staged for the next call.
        guard entered >= 0 || !isFatal(entered) else {
            throw EngineFailure(engine: .ioUring, step: .firstOperation, errno: Int32(-entered))
        }
    }

    private static func makeTimer(
        _ opcodes: UInt64, _ configuration: EngineConfiguration
    ) throws(EngineFailure) -> MarkedTimer? {
        let hasFutexes = opcodes & (1 << UInt64(CK_URING_OP_FUTEX_WAIT)) != 0
        guard !hasFutexes || configuration.usesWakeTimer else { return nil }
        var refused: Int32 = 0
        guard let timer = MarkedTimer(errno: &refused) else {
            throw EngineFailure(engine: .ioUring, step: .descriptors, errno: refused)
        }
        return timer
    }

    deinit {
        pool?.shutDown()
        // The ring is destroyed later. A futex wait still in it could consume a wake-up meant for the next user of the
        // word's memory.
        waker.releaseWord()
        wakeTimer?.close()
        standIn?.deinitialize(count: 1)
        standIn?.deallocate()
        ringTokens.deallocate()
        zeroCopyResults?.deallocate()
    }

    /// Twice the queue depth, since operations that have not been submitted hold files as well; at most RLIMIT_NOFILE.
    private static func makeHolds(_ ring: borrowing Ring, _ depth: Int) -> FileHolds? {
        var limit = ck_rlimit()
        guard Kernel.limit(CK_RLIMIT_NOFILE, &limit) == 0 else { return nil }
        return RingFileHolds(ring, capacity: Int(min(limit.soft, UInt64(2 * depth))))
    }

    var descriptor: Int32 { standIn?.pointee.descriptor ?? ring.descriptor }

    // MARK: Staging

    @inline(__always)
    mutating func stage(_ operation: Operation, _ token: Token) {
        guard !isLost else { return stageWithStandIn(operation, token) }
        let isOnDevice = operation.descriptor.map { $0.backing == .device } ?? true
        guard isOnDevice || !isStagedElsewhere(operation, token) else { return }
        encode(operation, token, isOnDevice: isOnDevice)
    }

    /// Handles what does not go into the ring, or not yet. For file systems without RWF_NOWAIT support the ring would
    /// send every read to one of the kernel's workers.
    private mutating func isStagedElsewhere(_ operation: Operation, _ token: Token) -> Bool {
        if operation.mayWaitForOthers {
            // Writes to a terminal go to a pool worker: a ring that is told too early that there is room blocks in the
            // write, and a kernel worker occasionally never returns from it.
            guard operation.descriptor?.kind != .stream else {
                sendToWorker(operation, token)
                return true
            }
            return !remote.enter(operation, token)
        }
        guard let transfer = operation.transfer, transfer.isReadOfMemory, transfer.mayBeAsked(),
            case .done(let result) = transfer.ask()
        else { return false }
        completeHere(token, Int32(truncatingIfNeeded: result))
        return true
    }

    @inline(__always)
    private mutating func encode(_ operation: Operation, _ token: Token, isOnDevice: Bool) {
        // The ring's first attempt adds O_NONBLOCK, which opens a FIFO without its other end.
        if case .open = operation, operation.mayOpenWhatWaits { return sendToWorker(operation, token) }
        guard !Kernel.hasStandIn || !isStagedAtDoor(operation, token) else { return }
        guard let entry = nextEntry() else { return stageWithoutEntry(operation, token) }
        guard entry.pointee.encode(operation, supported: supportedOpcodes) else {
            // The entry is already taken: it becomes a nop whose completion is ignored.
            entry.pointee = ck_uring_submission()
            entry.pointee.user_data = Self.cancelTag
            return sendToWorker(operation, token)
        }
        entry.pointee.user_data = token.rawValue
        ringTokens[Int(token.slot)] = token.rawValue
        ringCount += 1
        if entry.pointee.opcode == CK_URING_OP_SEND_ZC, zeroCopyResults == nil {
            zeroCopyResults = .allocate(capacity: configuration.placeCount)
            zeroCopyResults?.initialize(repeating: 0, count: configuration.placeCount)
        }
        // Sent to a kernel worker directly: a first attempt on a FUSE file can block the submitting thread, since such
        // files do not support non-blocking attempts.
        if !isOnDevice, operation.mayWaitForOthers { entry.pointee.flags |= CK_URING_SQE_ASYNC }
    }

    /// The kernel refuses to consume entries.
    private mutating func stageWithoutEntry(_ operation: Operation, _ token: Token) {
        guard !isLost else { return stageWithStandIn(operation, token) }
        // A worker executes no poll. The queue stages what ends with EINTR again.
        if case .poll = operation { return completeHere(token, -EINTR) }
        sendToWorker(operation, token)
    }

    /// Disowns an operation in the ring: its completion from there is ignored.
    mutating func giveUp(_ token: Token) {
        guard isInRing(token) else { return }
        ringTokens[Int(token.slot)] = .max
        ringCount -= 1
    }

    mutating func requestCancel(_ token: Token) {
        if let pool {
            pool.add(&outgoing)
            if pool.remove(token) { return completeHere(token, -ECANCELED) }
        }
        if remote.remove(token) { return completeHere(token, -ECANCELED) }
        cancelInRing(token)
    }

    mutating func cancelInRing(_ token: Token) {
        guard !isLost else { return requestCancelOfLost(token) }
        guard let entry = nextEntry() else {
            if isLost { requestCancelOfLost(token) } else if isInRing(token) { postponeCancel(token) }
            return
        }
        entry.pointee.opcode = CK_URING_OP_ASYNC_CANCEL
        entry.pointee.descriptor = -1
        entry.pointee.address = token.rawValue
        entry.pointee.user_data = Self.cancelTag
    }

    mutating func completeHere(_ token: Token, _ result: Int32) {
        completedHere.append(Completion(token, result: result))
        if isExported { tellOfCompletedHere() }
    }

    /// Makes the exported descriptor readable: a ring's descriptor reflects the completion ring only.
    private mutating func tellOfCompletedHere() {
        armWake()
        wake()
    }

    /// There is always room (see `init`), unless the kernel keeps refusing entries.
    @inline(__always)
    private mutating func nextEntry() -> UnsafeMutablePointer<ck_uring_submission>? {
        if let entry = ring.nextSubmission() { return entry }
        guard !isLost else { return nil }
        let entered = ring.enter(atLeast: 0, until: 0)
        if entered < 0, Self.isFatal(entered) { lose(entered) }
        return isLost ? nil : ring.nextSubmission()
    }

    /// Instead of one of the kernel's workers.
    mutating func stageWithWorker(_ operation: Operation, _ token: Token) { sendToWorker(operation, token) }

    private mutating func sendToWorker(_ operation: Operation, _ token: Token) {
        let operation = files.resolve(operation)
        if pool == nil {
            pool = WorkerPool(
                capacity: configuration.placeCount, limit: configuration.workerLimit, waker)
            pool?.startFirst()
            armWake()
        }
        outgoing.append(WorkItem(operation, token))
    }

    /// Arms the wake-up: a wait for the waker's word, which one wake-up ends, or a multishot poll of the timer.
    mutating func armWake() {
        guard !isWakeArmed, !isLost else { return }
        guard let entry = nextEntry() else {
            postponed.armsWake = true
            return
        }
        if let wakeTimer {
            entry.pointee.opcode = CK_URING_OP_POLL_ADD
            entry.pointee.descriptor = wakeTimer.number
            entry.pointee.count = CK_URING_POLL_ADD_MULTI
            entry.pointee.operation_flags = CK_POLLIN
        } else {
            // Sequentially consistent with a wake-up, against a lost wake-up: one after this load ends the wait at
            // once.
            let value = waker.word.pointee.load(ordering: .sequentiallyConsistent)
            entry.pointee.opcode = CK_URING_OP_FUTEX_WAIT
            entry.pointee.descriptor = Int32(bitPattern: CK_FUTEX2_SIZE_U32 | CK_FUTEX2_PRIVATE)
            entry.pointee.address = UInt64(UInt(bitPattern: waker.word))
            entry.pointee.offset = UInt64(value)
            entry.pointee.address3 = UInt64(UInt32.max)
        }
        entry.pointee.user_data = Self.wakeTag
        isWakeArmed = true
    }

    // MARK: Waiting and draining

    @inline(__always)
    mutating func enter(atLeast count: Int, until deadline: Nanoseconds) {
        if !outgoing.isEmpty { pool?.add(&outgoing) }
        var deadline = deadline
        if let pool, pool.isShortOfThreads {
            pool.help()
            deadline = min(deadline, Kernel.now() &+ Self.lookTime)
        }
        if !postponed.isEmpty {
            stagePostponed()
            if !postponed.isEmpty { deadline = min(deadline, Kernel.now() &+ Self.lookTime) }
        }
        let count = workersMaySleep() ? countToWaitFor(count) : 0
        guard !isLost else { return enterStandIn(atLeast: count, until: deadline) }
        // The ring's head tells what the kernel consumed; the rest is submitted next time.
        let entered = ring.enter(atLeast: count, until: deadline)
        if entered < 0, Self.isFatal(entered) { lose(entered) }
    }

    /// The polling interval where nothing signals progress.
    static var lookTime: Nanoseconds { 5_000_000 }

    /// Workers wake the ring once per batch of any size, so with workers the wait is for one completion.
    private func countToWaitFor(_ count: Int) -> Int { pool == nil ? count : min(count, 1) }

    /// Called before a wait: from now on workers wake the engine. False if a completion is already there.
    private func workersMaySleep() -> Bool {
        guard let pool else { return completedHere.isEmpty }
        return completedHere.isEmpty && pool.finished.fallAsleep()
    }

    @inline(__always)
    mutating func drain(into completions: UnsafeMutableBufferPointer<Completion>) -> Int {
        var count = 0
        var wakeEnded = false
        let zeroCopyResults = zeroCopyResults
        let ringTokens = ringTokens
        var finalCount = 0
        ring.drain { entry in
            guard entry.user_data >> 63 == 0 else {
                if entry.user_data == Self.wakeTag { wakeEnded = entry.flags & CK_URING_CQE_MORE == 0 }
                return true
            }
            guard count < completions.count else { return false }
            let token = Token(rawValue: entry.user_data)
            var result = entry.result
            if entry.flags & (CK_URING_CQE_MORE | CK_URING_CQE_NOTIFICATION) != 0, let zeroCopyResults {
                // Of the caller's operations only a zero-copy send has two completions. The first has the result, the
                // second releases the memory.
                guard entry.flags & CK_URING_CQE_NOTIFICATION != 0 else {
                    zeroCopyResults[Int(token.slot)] = result
                    return true
                }
                result = zeroCopyResults[Int(token.slot)]
            }
            // An operation that was given up with a lost ring may still complete.
            guard ringTokens[Int(token.slot)] == token.rawValue else { return true }
            ringTokens[Int(token.slot)] = .max
            finalCount += 1
            completions.initializeElement(at: count, to: Completion(token, result: result))
            count += 1
            return true
        }
        ringCount -= finalCount
        if wakeEnded {
            // The kernel ends a multishot poll when the submitting thread exits or the completion ring overflows.
            isWakeArmed = false
            armWake()
        }
        count = pool == nil && completedHere.isEmpty ? count : drainWorkers(into: completions, after: count)
        if let standIn {
            count += standIn.pointee.drain(into: UnsafeMutableBufferPointer(rebasing: completions[count...]))
        }
        if remote.insideCount > 0 { letNextIn(completions[..<count]) }
        return count
    }

    /// Stages the remote operations that were waiting for admission, and submits them immediately: a caller that waits
    /// on the exported descriptor alone would otherwise never wake up.
    private mutating func letNextIn(_ completed: Slice<UnsafeMutableBufferPointer<Completion>>) {
        var hasStaged = false
        for completion in completed {
            guard let (operation, token) = remote.leave(completion.token) else { continue }
            if isLost { stageWithStandIn(operation, token) } else { encode(operation, token, isOnDevice: false) }
            hasStaged = true
        }
        if hasStaged { enter(atLeast: 0, until: 0) }
    }

    private mutating func drainWorkers(
        into completions: UnsafeMutableBufferPointer<Completion>, after drained: Int
    ) -> Int {
        pool?.takeFinished(into: &completedHere)
        var count = drained
        while count < completions.count, let completion = completedHere.popFirst() {
            completions.initializeElement(at: count, to: completion)
            count += 1
        }
        if isExported, completedHere.isEmpty { callWorkersToWake() }
        return count
    }

    /// The first worker to finish makes the descriptor readable; so does a worker that has already finished.
    private func callWorkersToWake() {
        if let pool, !pool.finished.fallAsleep() { wake() }
    }

    func wake() { waker.wake() }

    /// The kernel keeps a ring's descriptor readable while the completion ring is not empty; workers need to be asked
    /// to.
    mutating func exportDescriptor() {
        isExported = true
        standIn?.pointee.exportDescriptor()
        guard !completedHere.isEmpty else { return }
        tellOfCompletedHere()
        enter(atLeast: 0, until: 0)
    }

    // MARK: Registering

    mutating func register(files numbers: UnsafeBufferPointer<Int32>) -> Int {
        let result = ring.register(CK_URING_REGISTER_FILES, numbers.baseAddress, numbers.count)
        guard result >= 0 else { return result }
        let kept = files.register(numbers)
        if kept < 0 { _ = ring.register(CK_URING_UNREGISTER_FILES, nil, 0) }
        return kept
    }

    mutating func unregisterFiles() -> Int {
        _ = files.unregister()
        return ring.register(CK_URING_UNREGISTER_FILES, nil, 0)
    }

    mutating func register(buffers: UnsafeBufferPointer<iovec>) -> Int {
        ring.register(CK_URING_REGISTER_BUFFERS, buffers.baseAddress, buffers.count)
    }

    mutating func unregisterBuffers() -> Int { ring.register(CK_URING_UNREGISTER_BUFFERS, nil, 0) }
}
