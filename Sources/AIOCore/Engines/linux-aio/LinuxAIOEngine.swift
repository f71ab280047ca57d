internal import CKernel

/// The engine over the kernel's Linux AIO: direct reads and writes, syncs and polls go to the kernel, which needs no
/// thread for them and does not block in io_submit(2). What would block there, above all buffered I/O, is executed as
/// in the engine `threads`.
///
/// It also serves as the engine `threads` where that may use Linux AIO: only direct transfers then go to the kernel, in
/// a context that the first of them creates.
struct LinuxAIOEngine: ~Copyable, Engine {
    private var threads: ThreadsEngine
    /// nil until it is needed, and where the kernel refuses one.
    private var context: LinuxAIOContext?
    private let configuration: EngineConfiguration
    private let takesTransfersAlone: Bool
    private var mayMakeContext = false
    /// The engine's renewal count when the event was last watched.
    private var renewalCount = 0
    /// Whether operations with the kernel still signal a closed eventfd.
    private var hasLostEvents = false

    init(_ configuration: EngineConfiguration) throws(EngineFailure) {
        let threads = try ThreadsEngine(configuration, for: .linuxAIO)
        context = try Self.makeContext(configuration, threads)
        self.threads = threads
        self.configuration = configuration
        takesTransfersAlone = false
    }

    /// For the engine `threads` with Linux AIO.
    init(besides configuration: EngineConfiguration) throws(EngineFailure) {
        threads = try ThreadsEngine(configuration, for: .threads)
        context = nil
        self.configuration = configuration
        takesTransfersAlone = true
        mayMakeContext = true
    }

    private static func makeContext(
        _ configuration: EngineConfiguration, _ threads: borrowing ThreadsEngine
    ) throws(EngineFailure) -> LinuxAIOContext {
        let context = try LinuxAIOContext(configuration)
        let added = threads.watch(context.event.number)
        guard added >= 0 else {
            throw EngineFailure(engine: .linuxAIO, step: .descriptors, errno: Int32(-added))
        }
        return context
    }

    var descriptor: Int32 { threads.descriptor }

    // MARK: Staging

    mutating func stage(_ operation: Operation, _ token: Token) {
        guard let admitted = threads.admit(operation, token) else { return }
        if let block = ck_iocb(admitted), isForKernel(admitted) {
            context?.add(admitted, token, block)
        } else {
            threads.stage(admitted: admitted, token)
        }
    }

    /// Whether the operation goes to the kernel, and a context exists.
    private mutating func isForKernel(_ operation: Operation) -> Bool {
        if takesTransfersAlone, operation.transfer == nil { return false }
        if mayMakeContext {
            // Tried once: if the kernel refuses, everything stays with `threads`.
            mayMakeContext = false
            context = try? Self.makeContext(configuration, threads)
        }
        return context != nil
    }

    mutating func requestCancel(_ token: Token) {
        switch context?.requestCancel(token) ?? .unknown {
        case .unknown: threads.requestCancel(token)
        case .withdrawn: threads.complete(token, -Int(ECANCELED))
        case .asked: takeEvents()
        }
    }

    // MARK: Waiting

    mutating func enter(atLeast count: Int, until deadline: Nanoseconds) {
        while let (operation, token) = context?.submit() { standIn(operation, token) }
        takeEvents()
        if hasLostEvents { hasLostEvents = (context?.submittedCount ?? 0) > 0 }
        // The completion of these signals nothing, so they are polled for.
        let look = hasLostEvents && count > 0 ? min(deadline, Kernel.now() &+ Self.lookTime) : deadline
        threads.enter(atLeast: count, until: look)
        if threads.renewalCount != renewalCount { renewEvent() }
        takeEvents()
    }

    private static var lookTime: Nanoseconds { 2_000_000 }

    /// The program closed the engine's descriptors, the eventfd included.
    private mutating func renewEvent() {
        renewalCount = threads.renewalCount
        guard context != nil else { return }
        hasLostEvents = true
        guard context?.renewEvent() == true, let number = context?.event.number else { return }
        _ = threads.watch(number)
    }

    /// Executes what the kernel refused: the system call reports a more precise error, and waits for a resource that is
    /// only busy.
    private mutating func standIn(_ operation: Operation, _ token: Token) {
        if case .poll = operation {
            // For example a poll of a file that is always ready.
            threads.stage(admitted: operation, token)
        } else {
            threads.sendToWorker(operation, token)
        }
    }

    private mutating func takeEvents() {
        var needsWorker = false
        while let (operation, token, result) = context?.popEvent() {
            if result == -Int(EAGAIN), operation.mayWait {
                threads.sendToWorker(operation, token)
                needsWorker = true
            } else {
                threads.complete(token, result)
            }
        }
        if needsWorker { threads.flush() }
    }

    mutating func drain(into completions: UnsafeMutableBufferPointer<Completion>) -> Int {
        takeEvents()
        return threads.drain(into: completions)
    }

    func wake() { threads.wake() }
    mutating func exportDescriptor() { threads.exportDescriptor() }

    // MARK: Registering

    mutating func register(files numbers: UnsafeBufferPointer<Int32>) -> Int { threads.register(files: numbers) }
    mutating func unregisterFiles() -> Int { threads.unregisterFiles() }
    mutating func register(buffers vectors: UnsafeBufferPointer<iovec>) -> Int { threads.register(buffers: vectors) }
    mutating func unregisterBuffers() -> Int { threads.unregisterBuffers() }
}

extension Operation {
    /// Whether the operation may wait, instead of completing with EAGAIN.
    fileprivate var mayWait: Bool { transfer.map { !$0.flags.contains(.noWait) } ?? false }
}

extension ck_iocb {
    /// The control block of an operation; nil if the kernel would block in io_submit(2), or does not support it.
    fileprivate init?(_ operation: Operation) {
        self.init()
        switch operation {
        case .transfer(let transfer): self.init(transfer)
        case .sync(let descriptor, let level):
            guard descriptor.kind == .buffered || descriptor.kind == .direct else { return nil }
            opcode = level == .data ? CK_IOCB_CMD_FDSYNC : CK_IOCB_CMD_FSYNC
            self.descriptor = UInt32(bitPattern: descriptor.number)
        case .poll(let descriptor, let events):
            // The kernel polls from a kernel thread, for which a signalfd has no signals.
            guard !Kernel.isAnonymous(descriptor.number) else { return nil }
            opcode = CK_IOCB_CMD_POLL
            self.descriptor = UInt32(bitPattern: descriptor.number)
            address = UInt64(events & 0xffff)
        default: return nil
        }
    }

    /// Direct transfers only, with RWF_NOWAIT: one that would block (on extent allocation, for a free request) ends
    /// with EAGAIN, and a worker executes it.
    private init?(_ transfer: Transfer) {
        guard transfer.descriptor.kind == .direct, transfer.descriptor.backing == .device, transfer.offset >= 0
        else { return nil }
        self.init()
        opcode = transfer.linuxAIOOpcode
        descriptor = UInt32(bitPattern: transfer.descriptor.number)
        address = UInt64(UInt(bitPattern: transfer.base))
        count = UInt64(transfer.count)
        offset = transfer.offset
        rw_flags = transfer.flags.rawValue | CK_RWF_NOWAIT
        if transfer.priority != 0 {
            flags |= CK_IOCB_FLAG_IOPRIO
            priority = Int16(bitPattern: transfer.priority)
        }
    }
}

extension Transfer {
    fileprivate var linuxAIOOpcode: UInt16 {
        if isVectored { return isWrite ? CK_IOCB_CMD_PWRITEV : CK_IOCB_CMD_PREADV }
        return isWrite ? CK_IOCB_CMD_PWRITE : CK_IOCB_CMD_PREAD
    }
}
