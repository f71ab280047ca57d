internal import CKernel

/// How `threads` serves direct reads and writes with the kernel's Linux AIO, which needs no thread for them and does
/// not block in io_submit(2). For the engine `linux-aio` it also serves syncs and polls.
///
/// What would block in io_submit(2), above all buffered I/O, is not for this service.
struct LinuxAIOService: ~Copyable {
    /// nil until it is needed, and where the kernel refuses one.
    private var context: LinuxAIOContext?
    private let configuration: EngineConfiguration
    private let takesTransfersAlone: Bool
    private var mayMakeContext: Bool
    /// Whether operations with the kernel still signal a closed eventfd.
    private var hasLostEvents = false

    /// For the engine `linux-aio`. Throws if the kernel refuses a context.
    init(_ configuration: EngineConfiguration, _ epoll: borrowing OwnedEpoll) throws(EngineFailure) {
        context = try Self.makeContext(configuration, epoll)
        self.configuration = configuration
        takesTransfersAlone = false
        mayMakeContext = false
    }

    /// For direct transfers alone. The first of them creates the context.
    init(forTransfersAlone configuration: EngineConfiguration) {
        context = nil
        self.configuration = configuration
        takesTransfersAlone = true
        mayMakeContext = true
    }

    private static func makeContext(
        _ configuration: EngineConfiguration, _ epoll: borrowing OwnedEpoll
    ) throws(EngineFailure) -> LinuxAIOContext {
        let context = try LinuxAIOContext(configuration)
        let added = epoll.watch(context.event.number)
        guard added >= 0 else {
            throw EngineFailure(engine: .linuxAIO, step: .descriptors, errno: Int32(-added))
        }
        return context
    }

    // MARK: Down

    /// Takes the operation if it is for the kernel, and a context exists. False if `threads` keeps it.
    mutating func take(_ operation: Operation, _ token: Token, _ epoll: borrowing OwnedEpoll) -> Bool {
        // Checked first, since encoding a poll takes a system call.
        guard !takesTransfersAlone || operation.transfer != nil, let block = ck_iocb(operation), hasContext(epoll)
        else { return false }
        context?.add(operation, token, block)
        return true
    }

    private mutating func hasContext(_ epoll: borrowing OwnedEpoll) -> Bool {
        if mayMakeContext {
            // Tried once: if the kernel refuses, everything stays with `threads`.
            mayMakeContext = false
            context = try? Self.makeContext(configuration, epoll)
        }
        return context != nil
    }

    /// Submits what was taken, up to the first operation that the kernel refuses, and returns that one to `threads`.
    /// nil once all are submitted.
    mutating func submit() -> (Operation, Token)? { context?.submit() }

    /// False if the service does not have the operation.
    mutating func requestCancel(_ token: Token, _ outlets: inout Outlets) -> Bool {
        switch context?.requestCancel(token) ?? .unknown {
        case .unknown: return false
        case .withdrawn: outlets.complete(token, -Int(ECANCELED))
        case .asked: takeEvents(&outlets)
        }
        return true
    }

    // MARK: Waiting

    /// The end of a wait until `deadline`: earlier while the completion of some operations signals nothing, so that
    /// they are polled for.
    mutating func lookTime(until deadline: Nanoseconds) -> Nanoseconds {
        if hasLostEvents { hasLostEvents = (context?.submittedCount ?? 0) > 0 }
        return hasLostEvents ? min(deadline, Kernel.now() &+ Self.lookInterval) : deadline
    }

    /// 500 looks a second, only until the operations that were in flight when the eventfd was lost have completed.
    private static var lookInterval: Nanoseconds { 2_000_000 }

    /// The program closed the engine's descriptors, the eventfd included.
    mutating func renewEvent(_ epoll: borrowing OwnedEpoll) {
        guard context != nil else { return }
        hasLostEvents = true
        guard context?.renewEvent() == true, let number = context?.event.number else { return }
        _ = epoll.watch(number)
    }

    // MARK: Up

    mutating func takeEvents(_ outlets: inout Outlets) {
        var needsWorker = false
        while let (operation, token, result) = context?.popEvent() {
            if result == -Int(EAGAIN), operation.mayWait {
                outlets.sendToWorker(operation, token)
                needsWorker = true
            } else {
                outlets.complete(token, result)
            }
        }
        if needsWorker { outlets.flush() }
    }
}

extension Operation {
    /// Whether the operation may wait, instead of completing with EAGAIN.
    fileprivate var mayWait: Bool { transfer.map { !$0.flags.contains(.noWait) } ?? false }
}
