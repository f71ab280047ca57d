public import CKernel

/// The features of the running kernel, detected by trying them. Probe once and keep the result.
public struct KernelFeatures: BitwiseCopyable, Sendable {
    /// uname(2).
    public private(set) var identity = ck_utsname()
    /// The features of io_uring (IORING_FEAT_), one bit each; 0 without it.
    public private(set) var ringFeatures: UInt32 = 0
    /// The opcodes that io_uring supports, one bit each; 0 without it.
    public private(set) var ringOpcodes: UInt64 = 0
    /// The set-up flags that the kernel accepted for a loop's ring.
    public private(set) var ringFlags: UInt32 = 0
    /// Why the engine `io_uring` is not available; nil if it is.
    public private(set) var ioUringFailure: EngineFailure?
    /// Why the engine `threads` is not available; nil if it is.
    public private(set) var threadsFailure: EngineFailure?
    /// Why the engine `linux-aio` is not available; nil if it is.
    public private(set) var linuxAIOFailure: EngineFailure?
    /// Why the engine `readahead` is not available; nil if it is.
    public private(set) var readaheadFailure: EngineFailure?
    /// The errno of io_setup(2); 0 if Linux AIO is available.
    public private(set) var linuxAIOErrno: Int32 = 0
    /// cachestat(2), 6.5.
    public private(set) var hasCachestat = false
    /// epoll_pwait2(2), 5.11: timeouts finer than a millisecond.
    public private(set) var hasEpollPwait2 = false

    private init() {}

    /// Probes the kernel. Creates and destroys each engine with a small queue depth, and waits up to a second for its
    /// first operation.
    public static func probe() -> KernelFeatures {
        var features = KernelFeatures()
        _ = Kernel.uname(&features.identity)
        features.askRing()
        features.threadsFailure = failure(of: .threads)
        features.linuxAIOFailure = failure(of: .linuxAIO)
        features.readaheadFailure = failure(of: .readahead)
        features.askCalls()
        return features
    }

    /// Why `engine` is not available; nil if it is.
    public func failure(of engine: EngineKind) -> EngineFailure? {
        switch engine {
        case .ioUring: ioUringFailure
        case .threads: threadsFailure
        case .linuxAIO: linuxAIOFailure
        case .readahead: readaheadFailure
        }
    }

    /// Whether the ring itself can execute `operation`; otherwise `io_uring` gives it to a worker.
    public func ringSupports(_ operation: Operation) -> Bool {
        var entry = ck_uring_submission()
        guard ioUringFailure == nil, entry.encode(operation, supported: ringOpcodes) else { return false }
        return ringOpcodes & (1 << UInt64(entry.opcode)) != 0
    }

    private mutating func askRing() {
        ioUringFailure = Self.failure(of: .ioUring)
        guard ioUringFailure == nil, let ring = try? Ring(entries: 4, isDedicated: true) else { return }
        ringFeatures = ring.parameters.features
        ringFlags = ring.parameters.flags
        ringOpcodes = ring.supportedOpcodes()
    }

    /// Creates the engine and executes a nop: set-up can succeed where no operation is permitted.
    private static func failure(of kind: EngineKind) -> EngineFailure? {
        do throws(EngineFailure) {
            var queue = try EngineQueue(kind, EngineConfiguration(queueDepth: 4, workerLimit: 1))
            guard let token = queue.prepare(.nop, context: 0) else { return nil }
            queue.stage(token)
            _ = queue.wait(atLeast: 1, until: Kernel.now() &+ 1_000_000_000)
            guard let delivery = queue.popReady() else {
                return EngineFailure(engine: kind, step: .firstOperation, errno: ETIMEDOUT)
            }
            let result = delivery.completion.result
            return result < 0 ? EngineFailure(engine: kind, step: .firstOperation, errno: -result) : nil
        } catch {
            return error
        }
    }

    private mutating func askCalls() {
        var context: UInt = 0
        let made = Kernel.linuxAIOSetup(1, &context)
        if made < 0 { linuxAIOErrno = Int32(-made) } else { Kernel.linuxAIODestroy(context) }
        var range = ck_cachestat_range()
        var result = ck_cachestat()
        hasCachestat = Kernel.cachestat(-1, &range, &result) == -Int(EBADF)
        hasEpollPwait2 = Kernel.hasEpollPwait2()
    }
}
