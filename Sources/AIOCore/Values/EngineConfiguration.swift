/// What an engine is made with.
public struct EngineConfiguration: BitwiseCopyable, Sendable {
    /// Most operations in flight: 1 to `EngineConfiguration.queueDepthMax`.
    public var queueDepth: Int
    /// Most operations in flight, beside those, of the kind that waits for somebody else (`Operation.isWait`): 0 to
    /// `waitingLimitMax`. With 0 there are no places for these apart.
    public var waitingLimit = 0
    /// Most worker threads (of the engine `threads`; of the kernel's pool in `io_uring`).
    public var workerLimit: Int
    /// Whether one thread alone, which never exits before the queue is gone, drives the queue.
    public var hasDedicatedThread: Bool
    /// Whether the engine lives in a program that knows nothing of it: it then lets other threads hold files where it can
    /// (`FileHolds`).
    public var isGuest = false
    /// For tests: whether a ring is woken by a timer, as before Linux 6.7.
    var usesWakeTimer = false
    /// Whether the engine `threads` gives direct transfers to the kernel's Linux AIO where that is allowed, as
    /// `linux-aio` does, once there are any.
    public var sendsDirectToLinuxAIO = false

    /// Most operations in flight in all: tokens' slots are below this.
    var placeCount: Int { queueDepth + waitingLimit }

    /// Most operations at once on files that may let them wait for ever (`Descriptor.Backing.remote`).
    public var remoteLimit: Int { Self.remoteLimit(ofWorkers: workerLimit) }

    /// Of so many threads, how many may be at remote files at once.
    static func remoteLimit(ofWorkers limit: Int) -> Int { max(limit * 3 / 4, 1) }

    /// io_uring's largest submission ring holds 32,768; half are kept for cancels.
    public static var queueDepthMax: Int { 16_000 }

    /// What connections one program can have; each place takes about half a kilobyte.
    public static var waitingLimitMax: Int { 1 << 20 }

    var isInRange: Bool {
        (1...Self.queueDepthMax).contains(queueDepth) && (0...Self.waitingLimitMax).contains(waitingLimit)
            && (1...4096).contains(workerLimit)
    }

    public init(queueDepth: Int = 256, workerLimit: Int = 64, hasDedicatedThread: Bool = false) {
        self.queueDepth = queueDepth
        self.workerLimit = workerLimit
        self.hasDedicatedThread = hasDedicatedThread
    }
}
