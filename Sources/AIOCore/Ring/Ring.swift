internal import CKernel
internal import Synchronization

/// An io_uring: the submission and completion rings shared with the kernel, and nothing above them.
///
/// One thread at a time uses a ring. A ring with a permanent thread is registered with that thread and needs no
/// descriptor number, which the program could close or reuse. The head and tail counters run freely and wrap at 2^32:
/// only their differences are meaningful, so arithmetic on them wraps as well.
struct Ring: ~Copyable {
    /// -1 if the ring is used without a number.
    private(set) var descriptor: Int32
    /// The index among the thread's registered rings (IORING_REGISTER_RING_FDS), or -1.
    private var index: Int32 = -1
    let parameters: ck_uring_parameters
    private let mapping: RingMapping
    /// The next submission entry; visible to the kernel once `publish` has stored it.
    private var submissionTail: UInt32
    /// The next completion to read; visible to the kernel once `drain` has stored it.
    private var completionHead: UInt32

    /// io_uring_setup(2) and the mappings, with at least as many entries. `isDedicated`: only the calling thread ever
    /// uses the ring.
    init(
        entries: UInt32, completions: UInt32? = nil, isDedicated: Bool
    ) throws(EngineFailure) {
        var parameters = ck_uring_parameters()
        let created = Ring.setUp(
            entries: entries, completions: completions ?? 2 * entries, isDedicated: isDedicated, &parameters)
        try self.init(OwnedDescriptor(created, .ioUring, .ringSetup), parameters)
    }

    /// Wraps a ring that was set up with `parameters`.
    init(_ owned: consuming OwnedDescriptor, _ parameters: ck_uring_parameters) throws(EngineFailure) {
        let mapping = try RingMapping(owned.number, parameters)
        self.parameters = parameters
        descriptor = owned.release()
        self.mapping = mapping
        // Relaxed: nothing was submitted yet.
        submissionTail = self.mapping.submissionTail.pointee.load(ordering: .relaxed)
        completionHead = self.mapping.completionHead.pointee.load(ordering: .relaxed)
    }

    deinit {
        if index >= 0 {
            var update = ck_uring_files_update(offset: UInt32(index), reserved: 0, descriptors: 0)
            _ = register(CK_URING_UNREGISTER_RING_FDS, &update, 1)
        }
        if descriptor >= 0 { GuestNumbers.closeOwn(descriptor) }
    }

    /// Registers the ring with the calling thread, the only one to enter it from now on (5.18). Closes the number
    /// unless other threads need it, where the kernel supports registration without one (6.3).
    mutating func registerWithThread(keepsNumber: Bool) {
        var update = ck_uring_files_update(
            offset: .max, reserved: 0, descriptors: UInt64(UInt32(bitPattern: descriptor)))
        guard Kernel.ringRegister(descriptor, CK_URING_REGISTER_RING_FDS, &update, 1) == 1 else { return }
        index = Int32(bitPattern: update.offset)
        guard !keepsNumber, parameters.features & CK_URING_FEATURE_REG_REG_RING != 0 else { return }
        GuestNumbers.closeOwn(descriptor)
        descriptor = -1
    }

    @inline(__always)
    private func call(
        _ submissions: UInt32, _ completionsMin: UInt32, _ flags: UInt32,
        _ argument: UnsafePointer<ck_uring_wait_argument>?
    ) -> Int {
        guard index < 0 else {
            return Kernel.ringEnter(
                index, submissions, completionsMin, flags | CK_URING_ENTER_REGISTERED_RING, argument)
        }
        return Kernel.ringEnter(descriptor, submissions, completionsMin, flags, argument)
    }

    /// Requests the flags of the newest kernel first, and fewer after each EINVAL.
    private static func setUp(
        entries: UInt32, completions: UInt32, isDedicated: Bool, _ parameters: inout ck_uring_parameters
    ) -> Int {
        let base = CK_URING_SETUP_CLAMP | CK_URING_SETUP_CQSIZE
        let submitAll = base | CK_URING_SETUP_SUBMIT_ALL
        let cooperative = submitAll | CK_URING_SETUP_COOP_TASKRUN | CK_URING_SETUP_TASKRUN_FLAG
        let deferred =
            submitAll | CK_URING_SETUP_SINGLE_ISSUER | CK_URING_SETUP_DEFER_TASKRUN | CK_URING_SETUP_TASKRUN_FLAG
        let best = isDedicated ? deferred : cooperative
        var result = -Int(EINVAL)
        for flags in [best | CK_URING_SETUP_NO_SQARRAY, best, cooperative, submitAll, base] where result == -Int(EINVAL)
        {
            parameters = ck_uring_parameters()
            parameters.flags = flags
            parameters.completion_entries = completions
            result = Kernel.ringSetup(entries, &parameters)
        }
        return result
    }

    // MARK: Submitting

    /// The next entry to fill in, zeroed; nil while the ring is full.
    @inline(__always)
    mutating func nextSubmission() -> UnsafeMutablePointer<ck_uring_submission>? {
        // Acquire: the kernel has read an entry before it moves the head past it.
        let head = mapping.submissionHead.pointee.load(ordering: .acquiring)
        guard submissionTail &- head < mapping.submissionEntries else { return nil }
        let entry = mapping.submissions + Int(submissionTail & mapping.submissionMask)
        entry.initialize(to: ck_uring_submission())
        submissionTail &+= 1
        return entry
    }

    /// Entries filled in and not yet consumed by the kernel. Relaxed: only the count is used.
    @inline(__always)
    var stagedCount: UInt32 {
        submissionTail &- mapping.submissionHead.pointee.load(ordering: .relaxed)
    }

    /// Submits everything staged, and waits until `count` completions are there or the deadline passes.
    ///
    /// Returns the result of io_uring_enter(2). Entries that it did not consume (a partial submit, EINTR, EAGAIN,
    /// EBUSY) stay staged for the next call: the ring's head tells what was consumed, not the result.
    mutating func enter(atLeast count: Int, until deadline: Nanoseconds) -> Int {
        publish()
        let staged = stagedCount
        guard count > 0 else {
            let flags = needsEnterToDrain ? CK_URING_ENTER_GETEVENTS : 0
            guard staged > 0 || flags != 0 else { return 0 }
            return call(staged, 0, flags, nil)
        }
        if deadline == .never {
            return call(staged, UInt32(count), CK_URING_ENTER_GETEVENTS, nil)
        }
        return enter(staged, atLeast: count, until: deadline)
    }

    // Mutating, although it changes nothing: a borrowing call would pass a copy of the ring.
    private mutating func enter(_ staged: UInt32, atLeast count: Int, until deadline: Nanoseconds) -> Int {
        let now = Kernel.now()
        var time = ck_timespec(deadline > now ? deadline &- now : 0)
        return withUnsafePointer(to: &time) { time in
            var argument = ck_uring_wait_argument(
                signal_mask: 0, signal_mask_size: 8, minimum_wait_us: 0,
                timeout: UInt64(UInt(bitPattern: time)))
            return call(staged, UInt32(count), CK_URING_ENTER_GETEVENTS | CK_URING_ENTER_EXT_ARG, &argument)
        }
    }

    @inline(__always)
    private func publish() {
        // Release: the entries are written before the kernel can see the tail that covers them.
        mapping.submissionTail.pointee.store(submissionTail, ordering: .releasing)
    }

    /// Whether there are completions that only io_uring_enter(2) moves into the ring: they overflowed it, or their task
    /// work waits for this thread. Relaxed: a hint, which the next call sees if this one does not.
    @inline(__always)
    private var needsEnterToDrain: Bool {
        let flags = mapping.submissionFlags.pointee.load(ordering: .relaxed)
        return flags & (CK_URING_SQ_CQ_OVERFLOW | CK_URING_SQ_TASKRUN) != 0
    }

    /// Takes back the entries that the kernel has not consumed, oldest first, of a ring that is no longer entered.
    mutating func takeStaged(_ body: (ck_uring_submission) -> Void) {
        // Relaxed: nobody moves it any more.
        var head = mapping.submissionHead.pointee.load(ordering: .relaxed)
        while head != submissionTail {
            body(mapping.submissions[Int(head & mapping.submissionMask)])
            head &+= 1
        }
        submissionTail = mapping.submissionHead.pointee.load(ordering: .relaxed)
    }

    // MARK: Draining

    var hasCompletions: Bool {
        // Acquire: as in `drain`.
        completionHead != mapping.completionTail.pointee.load(ordering: .acquiring)
    }

    /// Passes each completion in the ring to `body`, oldest first, until it returns false.
    @inline(__always)
    mutating func drain(_ body: (ck_uring_completion) -> Bool) {
        // Acquire: the kernel wrote the entries before it moved the tail past them.
        let tail = mapping.completionTail.pointee.load(ordering: .acquiring)
        guard completionHead != tail else { return }
        while completionHead != tail {
            let entry = mapping.completions[Int(completionHead & mapping.completionMask)]
            guard body(entry) else { break }
            completionHead &+= 1
        }
        // Release: the entries were read before the kernel may overwrite them.
        mapping.completionHead.pointee.store(completionHead, ordering: .releasing)
    }

    // MARK: Registering

    /// io_uring_register(2).
    func register(_ opcode: UInt32, _ argument: UnsafeRawPointer?, _ count: Int) -> Int {
        guard descriptor < 0 else { return Kernel.ringRegister(descriptor, opcode, argument, count) }
        return Kernel.ringRegister(index, opcode | CK_URING_REGISTER_USE_REGISTERED_RING, argument, count)
    }

    /// Limits the kernel's worker threads of this ring, bounded (file operations) and unbounded ones alike.
    func limitWorkers(_ limit: Int) {
        var limits: (UInt32, UInt32) = (UInt32(limit), UInt32(limit))
        _ = register(CK_URING_REGISTER_IOWQ_MAX_WORKERS, &limits, 2)
    }

    /// The opcodes that the kernel supports, one bit each.
    func supportedOpcodes() -> UInt64 {
        var probe = ck_uring_probe()
        guard register(CK_URING_REGISTER_PROBE, &probe, 64) >= 0 else { return 0 }
        let isSupported: UInt16 = 1
        return withUnsafeBytes(of: &probe.operations) { bytes in
            var opcodes: UInt64 = 0
            for operation in bytes.bindMemory(to: ck_uring_probe_operation.self).prefix(Int(probe.count))
            where operation.flags & isSupported != 0 {
                opcodes |= 1 << UInt64(operation.opcode)
            }
            return opcodes
        }
    }
}
