/// The limits and the environment of an engine.
public struct EngineConfiguration: BitwiseCopyable, Sendable {
    /// Maximum number of operations in flight: 1 to ``queueDepthMax``.
    public var queueDepth: Int
    /// Maximum number of waits (``Operation/isWait``) in flight, in slots beside those of ``queueDepth``: 0 to
    /// ``waitingLimitMax``. With 0, waits share the slots of all operations.
    public var waitingLimit = 0
    /// Maximum number of worker threads: of the worker pool, and in `io_uring` also of each of the ring's two kernel
    /// pools (bounded and unbounded work). The pool's threads for waiting work have the same limit again.
    public var workerLimit: Int
    /// Whether a single thread drives the queue, and lives as long as the queue.
    public var hasDedicatedThread: Bool
    /// Whether the engine runs inside a program that is unaware of it (a drop-in). Other threads can then take holds on
    /// files where the engine supports it (``FileHolds``).
    public var isGuest = false
    /// For tests: wakes a ring by a timer, as before Linux 6.7.
    var usesWakeTimer = false
    /// Whether the engine `threads` or `readahead` uses the kernel's Linux AIO for direct transfers where that is
    /// allowed, as `linux-aio` does. The context is created by the first of them.
    public var sendsDirectToLinuxAIO = false
    /// Whether the engine `threads` or `linux-aio` serves buffered reads without threads, as `readahead` does.
    public var readsAhead = false

    /// Maximum number of operations in flight, waits included. The slot of a token is below this.
    var placeCount: Int { queueDepth + waitingLimit }

    /// Maximum number of concurrent operations on files that may block indefinitely (``Descriptor/Backing/remote``).
    public var remoteLimit: Int { Self.remoteLimit(ofWorkers: workerLimit) }

    /// The share of `limit` threads that remote files may occupy: three quarters, and at least one.
    static func remoteLimit(ofWorkers limit: Int) -> Int { max(limit * 3 / 4, 1) }

    /// The largest value of ``queueDepth``. io_uring's largest submission ring has 32,768 entries; half of them are
    /// reserved for cancels.
    public static var queueDepthMax: Int { 16_000 }

    /// The largest value of ``waitingLimit``. It covers the connections of one program; each slot takes about half a
    /// kilobyte.
    public static var waitingLimitMax: Int { 1 << 20 }

    var isInRange: Bool {
        (1...Self.queueDepthMax).contains(queueDepth) && (0...Self.waitingLimitMax).contains(waitingLimit)
            // More threads than this are a mistake in the configuration: each has a stack and takes turns with the
            // rest.
            && (1...4096).contains(workerLimit)
    }

    /// The other settings have their defaults.
    public init(queueDepth: Int = 256, workerLimit: Int = 64, hasDedicatedThread: Bool = false) {
        self.queueDepth = queueDepth
        self.workerLimit = workerLimit
        self.hasDedicatedThread = hasDedicatedThread
    }
}
