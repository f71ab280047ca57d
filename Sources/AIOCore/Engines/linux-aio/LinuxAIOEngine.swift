internal import CKernel

/// The engine over the kernel's Linux AIO: direct reads and writes, syncs and polls go to it, which neither needs a
/// thread for them nor blocks one. What it would carry out inside of io_submit(2), buffered I/O above all, is done as
/// the engine `threads` does it.
///
/// It is also the engine `threads` itself where that may use Linux AIO: then direct transfers alone go to the kernel, in
/// a context that the first of them makes.
struct LinuxAIOEngine: ~Copyable, Engine {
    private var threads: ThreadsEngine
    /// nil until there is something for it, and where the kernel gives none.
    private var context: LinuxAIOContext?
    private let configuration: EngineConfiguration
    private let takesTransfersAlone: Bool
    private var mayMakeContext = false
    /// How often the descriptors had been made anew when the context's event was last watched.
    private var renewalCount = 0
    /// Whether operations are with the kernel that signal an event which is gone.
    private var hasLostEvents = false

    init(_ configuration: EngineConfiguration) throws(EngineFailure) {
        let threads = try ThreadsEngine(configuration, for: .linuxAIO)
        context = try Self.makeContext(configuration, threads)
        self.threads = threads
        self.configuration = configuration
        takesTransfersAlone = false
    }

    /// For the engine `threads`.
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

    /// Whether the kernel has a part in it, and a context for it.
    private mutating func isForKernel(_ operation: Operation) -> Bool {
        if takesTransfersAlone, operation.transfer == nil { return false }
        if mayMakeContext {
            // Once: where the kernel refuses it, it goes on as it did.
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
        // Nothing tells when those are done.
        let look = hasLostEvents && count > 0 ? min(deadline, Kernel.now() &+ Self.lookTime) : deadline
        threads.enter(atLeast: count, until: look)
        if threads.renewalCount != renewalCount { renewEvent() }
        takeEvents()
    }

    private static var lookTime: Nanoseconds { 2_000_000 }

    /// The descriptors were closed by the program, and the event with them.
    private mutating func renewEvent() {
        renewalCount = threads.renewalCount
        guard context != nil else { return }
        hasLostEvents = true
        guard context?.renewEvent() == true, let number = context?.event.number else { return }
        _ = threads.watch(number)
    }

    /// For what the kernel does not take: the system call knows better why, and waits for what is only busy.
    private mutating func standIn(_ operation: Operation, _ token: Token) {
        if case .poll = operation {
            // Of what is always ready, for one.
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
    /// Whether it is one that waits if need be, rather than say EAGAIN.
    fileprivate var mayWait: Bool { transfer.map { !$0.transfer.flags.contains(.noWait) } ?? false }
}

extension ck_iocb {
    /// The operation as the kernel's Linux AIO takes it; nil for what it would block on, or does not know.
    fileprivate init?(_ operation: Operation) {
        self.init()
        switch operation {
        case .read(let transfer): self.init(transfer, CK_IOCB_CMD_PREAD)
        case .write(let transfer): self.init(transfer, CK_IOCB_CMD_PWRITE)
        case .readVectored(let transfer): self.init(transfer, CK_IOCB_CMD_PREADV)
        case .writeVectored(let transfer): self.init(transfer, CK_IOCB_CMD_PWRITEV)
        case .sync(let descriptor, let level):
            guard descriptor.kind == .buffered || descriptor.kind == .direct else { return nil }
            opcode = level == .data ? CK_IOCB_CMD_FDSYNC : CK_IOCB_CMD_FSYNC
            self.descriptor = UInt32(bitPattern: descriptor.number)
        case .poll(let descriptor, let events):
            // The kernel looks at these in a thread of its own, for which a signalfd has no signals.
            guard !Kernel.isAnonymous(descriptor.number) else { return nil }
            opcode = CK_IOCB_CMD_POLL
            self.descriptor = UInt32(bitPattern: descriptor.number)
            address = UInt64(events & 0xffff)
        default: return nil
        }
    }

    /// Direct transfers alone, and as attempts: what cannot go on without waiting (for extents, for a free request)
    /// ends with EAGAIN, and a worker carries it out.
    private init?(_ transfer: Transfer, _ opcode: UInt16) {
        guard transfer.descriptor.kind == .direct, transfer.descriptor.backing == .device, transfer.offset >= 0
        else { return nil }
        self.init()
        self.opcode = opcode
        descriptor = UInt32(bitPattern: transfer.descriptor.number)
        address = UInt64(UInt(bitPattern: transfer.base))
        count = UInt64(transfer.count)
        offset = transfer.offset
        rw_flags = transfer.flags.kernelFlags | CK_RWF_NOWAIT
        if transfer.priority != 0 {
            flags |= CK_IOCB_FLAG_IOPRIO
            priority = Int16(bitPattern: transfer.priority)
        }
    }
}
