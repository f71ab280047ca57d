internal import CKernel

/// A way of carrying operations out.
///
/// One thread at a time drives an engine; only `wake` may be called from any. An engine takes plain values
/// and returns plain values; it neither retries nor interprets a result. It accepts at most as many
/// operations as it was made for, which `EngineQueue` counts, so staging always finds room.
protocol Engine: ~Copyable {
    /// Readable (as poll(2) has it) when there is something to drain, once `exportDescriptor` was called.
    var descriptor: Int32 { get }

    /// Takes one operation. It may be carried out on the spot if that cannot block.
    mutating func stage(_ operation: Operation, _ token: Token)

    /// Asks for an end to an operation that was staged. Its completion tells what came of it.
    mutating func requestCancel(_ token: Token)

    /// Hands over all that is staged, then waits until `count` completions can be drained, `wake` was called, or
    /// the deadline passed. With `count` 0 it does not wait. May return early.
    mutating func enter(atLeast count: Int, until deadline: Nanoseconds)

    /// Moves completions out, oldest first, as many as fit.
    mutating func drain(into completions: UnsafeMutableBufferPointer<Completion>) -> Int

    /// Makes the present `enter` return, or the next one unless a drain comes first. From any thread.
    func wake()

    /// From now on `descriptor` is kept readable while there is something to drain.
    mutating func exportDescriptor()

    /// Registers files, for `Descriptor.registered`. Returns 0 or a negative errno.
    mutating func register(files: UnsafeBufferPointer<Int32>) -> Int
    mutating func unregisterFiles() -> Int

    /// Registers memory, for `Transfer.bufferIndex`. Returns 0 or a negative errno.
    mutating func register(buffers: UnsafeBufferPointer<iovec>) -> Int
    mutating func unregisterBuffers() -> Int
}

/// The engines there are. The spelling is the same in code, on the command line, in logs and in tests.
public enum EngineKind: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    case ioUring
    case threads
    case linuxAIO
    case readahead

    public var name: StaticString {
        switch self {
        case .ioUring: "io_uring"
        case .threads: "threads"
        case .linuxAIO: "linux-aio"
        case .readahead: "readahead"
        }
    }
}

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
    public var remoteLimit: Int { WorkerPool.remoteLimit(workerLimit) }

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

/// Why an engine could not be made.
public struct EngineFailure: Error, BitwiseCopyable, Sendable {
    public enum Step: UInt8, BitwiseCopyable, Sendable {
        /// A value in the configuration is out of range.
        case configuration
        /// io_uring_setup(2).
        case ringSetup
        /// mmap(2) of the ring.
        case ringMapping
        /// The kernel's io_uring is older than 5.15 and lacks what is needed.
        case ringFeatures
        /// io_setup(2).
        case linuxAIOSetup
        /// epoll_create1(2), eventfd(2) or timerfd_create(2).
        case descriptors
        /// pthread_create(3).
        case thread
        /// The first operation, a nop.
        case firstOperation
    }

    public var engine: EngineKind
    public var step: Step
    /// Positive; 0 when no system call failed.
    public var errno: Int32
}
