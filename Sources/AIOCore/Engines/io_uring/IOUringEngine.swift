internal import CKernel
internal import Synchronization

/// The engine for where the kernel allows io_uring: everything goes into the ring. What the running kernel's ring
/// cannot do (ftruncate before 6.9, say) goes to workers.
///
/// A ring may stop being usable: a filter that the program loads later (seccomp(2)) forbids to enter it, or the program
/// closes its number. It is *lost* then, and the engine `threads` stands in for it (`LostRing.swift`).
struct IOUringEngine: ~Copyable, Engine {
    var ring: Ring
    let waker = Waker()
    /// What the ring polls where it cannot wait for a word (before 6.7).
    private let wakeTimer: MarkedTimer?
    private let supportedOpcodes: UInt64
    let configuration: EngineConfiguration
    /// Made when first needed.
    private var pool: WorkerPool?
    private var outgoing: FixedQueue<WorkItem>
    /// By workers, or without having been in the ring.
    var completedHere: FixedQueue<Completion>
    /// By slot, the token of what is in the ring, and how many there are.
    let ringTokens: UnsafeMutablePointer<UInt64>
    private(set) var ringCount = 0
    /// Why the ring is lost, and what stands in for it: nil until then, and where that cannot be made.
    var lostErrno: Int32 = 0
    var standIn: UnsafeMutablePointer<ThreadsEngine>?
    private var remote: RemoteGate
    /// By slot, what a send from the caller's memory came to, until the kernel is done with that memory. Made when first
    /// needed.
    private var zeroCopyResults: UnsafeMutablePointer<Int32>?
    private var isWakeArmed = false
    private(set) var isExported = false
    /// What the ring has registered, for workers.
    private var files = RegisteredFiles()
    /// For a guest.
    let holds: FileHolds?

    // Tokens leave the top bit to the engine's own entries.
    private static var wakeTag: UInt64 { 1 << 63 }
    fileprivate static var cancelTag: UInt64 { 1 << 63 | 1 }

    /// The oldest kernel whose ring does what the engine relies on is 5.15.
    private static var requiredFeatures: UInt32 {
        CK_URING_FEATURE_NODROP | CK_URING_FEATURE_SUBMIT_STABLE | CK_URING_FEATURE_RW_CUR_POS
            | CK_URING_FEATURE_FAST_POLL | CK_URING_FEATURE_EXT_ARG | CK_URING_FEATURE_NATIVE_WORKERS
    }

    init(_ configuration: EngineConfiguration) throws(EngineFailure) {
        // Room for every operation of the queue depth and for a cancel of each, at once, whatever the kernel has taken:
        // so staging finds room. What waits is staged in numbers only when many connections begin at once; when they
        // fill the ring, the kernel takes them in between. Completions have room for all.
        let submissions = 2 * configuration.queueDepth + 2
        var ring = try Ring(
            entries: UInt32(submissions), completions: UInt32(2 * submissions + configuration.waitingLimit),
            isDedicated: configuration.hasDedicatedThread && !configuration.isGuest)
        guard ring.parameters.features & Self.requiredFeatures == Self.requiredFeatures else {
            throw EngineFailure(engine: .ioUring, step: .ringFeatures, errno: 0)
        }
        try Self.tryOut(&ring)
        // A guest's other threads hold files with it, by its number.
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
        outgoing = FixedQueue(capacity: configuration.placeCount)
        completedHere = FixedQueue(capacity: configuration.placeCount)
        ringTokens = .allocate(capacity: configuration.placeCount)
        ringTokens.initialize(repeating: .max, count: configuration.placeCount)
        self.ring = ring
        self.configuration = configuration
        if configuration.hasDedicatedThread { armWake() }
    }

    /// A nop: a ring may be set up where no operation is allowed in.
    private static func tryOut(_ ring: inout Ring) throws(EngineFailure) {
        guard let entry = ring.nextSubmission() else { return }
        entry.pointee.opcode = CK_URING_OP_NOP
        entry.pointee.user_data = cancelTag
        let entered = ring.enter(atLeast: 0, until: 0)
        guard entered >= 0 else {
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
        // The ring's end comes after this, and a wait that it still had could take a wake-up from whoever has the word's memory
        // by then.
        waker.releaseWord()
        wakeTimer?.close()
        standIn?.deinitialize(count: 1)
        standIn?.deallocate()
        ringTokens.deallocate()
        zeroCopyResults?.deallocate()
    }

    /// Twice as many places as operations can be with the kernel, since some more wait for it; or as many as allowed.
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
        if let descriptor = operation.descriptor, descriptor.backing != .device {
            guard !isStagedElsewhere(operation, token) else { return }
        }
        encode(operation, token)
    }

    /// What does not go into the ring, or not yet: of the file systems that know no NOWAIT the ring would have every
    /// read done by one of the kernel's workers.
    private mutating func isStagedElsewhere(_ operation: Operation, _ token: Token) -> Bool {
        if operation.mayWaitForOthers {
            // A write to a terminal is a worker's of ours: a ring that is told of room too early waits in the write, and one
            // of the kernel's workers now and then never ends it.
            guard operation.descriptor?.kind != .stream else {
                sendToWorker(operation, token)
                return true
            }
            return !remote.enter(operation, token)
        }
        guard let result = operation.resultInMemory() else { return false }
        completeHere(token, Int32(truncatingIfNeeded: result))
        return true
    }

    @inline(__always)
    private mutating func encode(_ operation: Operation, _ token: Token) {
        // A ring's first attempt has O_NONBLOCK: it would open a FIFO without the other end.
        if case .open = operation, operation.mayOpenWhatWaits { return sendToWorker(operation, token) }
        guard let entry = nextEntry() else {
            return isLost ? stageWithStandIn(operation, token) : sendToWorker(operation, token)
        }
        guard entry.pointee.encode(operation, supported: supportedOpcodes) else {
            // The entry is taken: let it do nothing, without a trace.
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
        // By one of the kernel's workers from the start: an attempt on a FUSE file may wait in this very thread, since
        // such files heed no wish not to.
        if operation.mayWaitForOthers { entry.pointee.flags |= CK_URING_SQE_ASYNC }
    }

    /// What is in the ring is not the ring's any more: whatever comes of it there, nobody hears.
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
        if isLost { return requestCancelOfLost(token) }
        guard let entry = nextEntry() else { return }
        entry.pointee.opcode = CK_URING_OP_ASYNC_CANCEL
        entry.pointee.descriptor = -1
        entry.pointee.address = token.rawValue
        entry.pointee.user_data = Self.cancelTag
    }

    private mutating func completeHere(_ token: Token, _ result: Int32) {
        completedHere.append(Completion(token, result: result))
        if isExported { tellOfCompletedHere() }
    }

    /// A ring's descriptor tells of what is in the ring alone.
    private mutating func tellOfCompletedHere() {
        armWake()
        wake()
    }

    /// There is always room, as `init` explains, unless the kernel keeps refusing to take anything in.
    @inline(__always)
    private mutating func nextEntry() -> UnsafeMutablePointer<ck_uring_submission>? {
        if let entry = ring.nextSubmission() { return entry }
        guard !isLost else { return nil }
        let entered = ring.enter(atLeast: 0, until: 0)
        if entered < 0, Self.isFatal(entered) { lose(entered) }
        return isLost ? nil : ring.nextSubmission()
    }

    /// The operation by the numbers of its descriptors: outside of the ring an index would be taken for one. -1 is none.
    func resolved(_ operation: Operation) -> Operation {
        var operation = operation
        if let descriptor = operation.descriptor, descriptor.isRegistered {
            operation = operation.on(files.resolve(descriptor) ?? Descriptor(-1))
        }
        if let other = operation.otherDescriptor, other.isRegistered {
            operation = operation.onOther(files.resolve(other) ?? Descriptor(-1))
        }
        return operation
    }

    mutating func sendToWorker(_ operation: Operation, _ token: Token) {
        let operation = resolved(operation)
        if pool == nil {
            pool = WorkerPool(
                capacity: configuration.placeCount, limit: configuration.workerLimit, waker)
            pool?.startFirst()
            armWake()
        }
        outgoing.append(WorkItem(operation, token))
    }

    /// A wait for the waker's word, which one wake-up ends; or a multishot poll of the timer.
    private mutating func armWake() {
        guard !isWakeArmed, !isLost, let entry = nextEntry() else { return }
        if let wakeTimer {
            entry.pointee.opcode = CK_URING_OP_POLL_ADD
            entry.pointee.descriptor = wakeTimer.number
            entry.pointee.count = CK_URING_POLL_ADD_MULTI
            entry.pointee.operation_flags = CK_POLLIN
        } else {
            // Sequentially consistent with a wake-up: one that comes after this look ends the wait at once.
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
        let count = workersMaySleep() ? countToWaitFor(count) : 0
        guard !isLost else { return enterStandIn(atLeast: count, until: deadline) }
        // What the kernel took is read off the ring; what it did not take stays for next time.
        let entered = ring.enter(atLeast: count, until: deadline)
        if entered < 0, Self.isFatal(entered) { lose(entered) }
    }

    /// How often to look where nothing tells.
    static var lookTime: Nanoseconds { 5_000_000 }

    /// Workers wake the ring once a batch, whatever the number: with them, one completion is as many as to wait for.
    private func countToWaitFor(_ count: Int) -> Int { pool == nil ? count : min(count, 1) }

    /// Before a wait: workers wake us from now on. False if one has finished already.
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
                // Nothing else that is the caller's has two answers. The first is kept for the second.
                guard entry.flags & CK_URING_CQE_NOTIFICATION != 0 else {
                    zeroCopyResults[Int(token.slot)] = result
                    return true
                }
                result = zeroCopyResults[Int(token.slot)]
            }
            // What was given up with a lost ring may come all the same.
            guard ringTokens[Int(token.slot)] == token.rawValue else { return true }
            ringTokens[Int(token.slot)] = .max
            finalCount += 1
            completions.initializeElement(at: count, to: Completion(token, result: result))
            count += 1
            return true
        }
        ringCount -= finalCount
        if wakeEnded {
            // The kernel ends a multishot poll when its thread goes, or the ring was full.
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

    /// Remote operations whose turn it is go into the ring, and to the kernel at once: whoever waits for the exported
    /// descriptor alone would wait for ever.
    private mutating func letNextIn(_ completed: Slice<UnsafeMutableBufferPointer<Completion>>) {
        var hasStaged = false
        for completion in completed {
            guard let (operation, token) = remote.leave(completion.token) else { continue }
            if isLost { stageWithStandIn(operation, token) } else { encode(operation, token) }
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

    /// The first worker to finish makes the descriptor readable; now, if one has already.
    private func callWorkersToWake() {
        if let pool, !pool.finished.fallAsleep() { wake() }
    }

    func wake() { waker.wake() }

    /// A ring's descriptor is readable while its completion ring is not empty; workers have to be told.
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
