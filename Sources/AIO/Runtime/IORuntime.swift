public import AIOCore
internal import Synchronization

/// The loops that carry out a program's operations.
///
/// Most programs use ``shared``. The owner of another runtime shuts it down; a runtime that is dropped without
/// ``shutdown(_:)`` is shut down in the background.
public final class IORuntime: Sendable {
    /// The runtime with the default configuration: one loop, the best available engine (or AIO_ENGINE's), the default
    /// limits. Created on first use. In a simulation, the simulated runtime.
    public static var shared: IORuntime { RuntimeStandIn.current?.runtime() ?? processWide }

    private static let processWide = IORuntime()

    /// The engine, the limits and the log of a runtime.
    public struct Configuration: Sendable {
        /// The engine, by default the best that is available.
        public var engine = EngineChoice.automatic
        /// The number of loops, each a thread that submits and completes operations. One loop serves hundreds of
        /// thousands of operations per second.
        public var loops = 1
        /// The maximum number of operations in flight on a loop, not counting waits.
        public var queueDepth = 256
        /// The maximum number of waits on a loop: operations that wait for a peer or the clock, such as those on
        /// sockets, pipes, terminals, polls, children and timers. A connection takes one slot while it is read from,
        /// and one while a write makes no progress. A slot costs about half a kilobyte, allocated at the start. With 0,
        /// waits share the slots of ``queueDepth``.
        public var waitingLimit = 4096
        /// The maximum number of worker threads of a loop for blocking calls. As many again may serve calls that wait
        /// for another party, such as the open of a FIFO.
        public var workerLimit = 64
        /// Whether buffered reads that miss the page cache are served by readahead(2) instead of by workers, as the
        /// engine `readahead` serves them, on any engine but `io_uring`. With `linux-aio`, direct and buffered reads
        /// then both need no thread each.
        public var readsAhead = false
        /// What happens to an operation at a limit.
        public var atLimit = AtLimit.wait
        /// Whether operations that may not need to wait are attempted on the calling thread first: reads from the page
        /// cache, reads and writes of streams, accepts, opens of files for reading whose path the kernel has cached.
        public var inlineAttempts = true
        /// Receives one line per problem that no caller can be told about. Writes to standard error by default.
        public var log: @Sendable (String) -> Void = { line in writeToStandardError("swift-aio: \(line)\n") }
        /// Called on a loop's thread after each job. For measurements.
        @_spi(AIOCommand) public var jobEnded: (@Sendable () -> Void)?

        /// The best engine, one loop, and the default limits.
        public init() {}
    }

    /// What happens to an operation at a limit (``Configuration/queueDepth``, ``Configuration/waitingLimit``).
    public enum AtLimit: Sendable {
        /// The operation waits for a slot.
        case wait
        /// The operation fails with ``IOError/Code/limitReached``.
        case fail
    }

    /// What a shutdown does with operations in flight.
    public enum ShutdownMode: Sendable {
        /// Completes everything in flight. Waits indefinitely if an operation does, such as a read from a silent pipe.
        case drain
        /// Cancels everything in flight except for releases, such as a close. What cannot be cancelled is waited for.
        case cancel
    }

    /// The configuration that the runtime was started with.
    public let configuration: Configuration
    /// The engine that was selected, and why.
    public let selection: EngineSelection
    /// The loops, as executors that tasks may prefer.
    public let loops: [IOLoop]
    let buffers: BufferPool
    let nameLookups: NameLookups
    /// Whether the kernel's caches are worth asking about paths.
    let pathGuess = CacheGuess()
    private let process: ProcessGuard
    /// Spreads operations without a descriptor over the loops.
    private let turn = Atomic<UInt32>(0)
    /// Why there are no loops; non-nil only in `shared`.
    private let failure: IOError?

    /// Starts the loops.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if a value is out of range; ``IOError/Code/engineUnavailable`` if a
    ///   forced engine is not available; ``IOError/Code/tooManyOpenFiles``; ``IOError/Code/outOfMemory`` at the limit
    ///   of locked memory; ``IOError/Code/wouldBlock`` at the limit of threads.
    public init(_ configuration: Configuration = Configuration()) throws(IOError) {
        let started = try Self.start(configuration)
        (selection, loops) = (started.selection, started.loops)
        process = started.process
        self.configuration = configuration
        buffers = BufferPool(atLimit: configuration.atLimit)
        nameLookups = NameLookups(workerLimit: configuration.workerLimit)
        failure = nil
    }

    /// For `shared`. It cannot throw, so the first operation throws the error.
    private init() {
        configuration = Configuration()
        buffers = BufferPool(atLimit: .wait)
        nameLookups = NameLookups(workerLimit: configuration.workerLimit)
        do throws(IOError) {
            let started = try Self.start(configuration)
            (selection, loops) = (started.selection, started.loops)
            process = started.process
            failure = nil
        } catch {
            process = ProcessGuard()
            selection = EngineSelection(engine: .threads, reason: "\(error)")
            loops = []
            failure = error
        }
    }

    private struct Started: ~Copyable {
        let selection: EngineSelection
        let loops: [IOLoop]
        let process: ProcessGuard
    }

    private static func start(_ configuration: Configuration) throws(IOError) -> Started {
        guard (1...1024).contains(configuration.loops) else {
            throw IOError(.invalidArgument, "runtime", advice: "loops must be 1 to 1024")
        }
        var settings = EngineConfiguration(
            queueDepth: configuration.queueDepth, workerLimit: configuration.workerLimit)
        settings.waitingLimit = configuration.waitingLimit
        settings.readsAhead = configuration.readsAhead
        if let simulated = try startSimulated(settings, configuration) { return simulated }
        let (selection, loops) = try startLoops(settings, configuration)
        return Started(selection: selection, loops: loops, process: ProcessGuard())
    }

    /// In a simulation, one loop stands in for all.
    private static func startSimulated(
        _ settings: EngineConfiguration, _ configuration: Configuration
    ) throws(IOError) -> Started? {
        switch RuntimeStandIn.current?.loop(settings, configuration) {
        case nil: return nil
        case .failure(let failure)?: throw IOError(failure)
        case .success(let loop)?:
            return Started(
                selection: EngineSelection(engine: loop.core.engineKind, reason: "simulated"), loops: [loop],
                process: ProcessGuard(forCallingThread: ()))
        }
    }

    private static func startLoops(
        _ settings: EngineConfiguration, _ configuration: Configuration
    ) throws(IOError) -> (EngineSelection, [IOLoop]) {
        return try configuration.engine.select(settings) { kind, settings throws(EngineFailure) in
            var loops: [IOLoop] = []
            do throws(EngineFailure) {
                for _ in 0..<configuration.loops { loops.append(try IOLoop(kind, settings, configuration)) }
            } catch {
                for loop in loops { loop.beginShutdown(.cancel) {} }
                throw error
            }
            return loops
        }
    }

    deinit {
        // In a forked child the loops belong to the parent.
        guard !process.isForked else { return }
        for loop in loops { loop.beginShutdown(.cancel) {} }
    }

    /// The number of operations in flight on all loops.
    public var inFlightCount: Int { loops.reduce(0) { $0 + $1.inFlightCount } }

    // MARK: Operations

    /// Carries out one operation and returns its result, such as a count of bytes.
    ///
    /// Memory that the operation refers to is borrowed until the call returns. The call returns only when the operation
    /// has completed, also after a cancellation or a deadline. The operation may succeed in spite of either.
    ///
    /// - Throws: the error of the operation's errno; ``IOError/Code/cancelled``; ``IOError/Code/deadlineExceeded``;
    ///   ``IOError/Code/limitReached`` with ``AtLimit/fail``; ``IOError/Code/runtimeShutDown``;
    ///   ``IOError/Code/forked``.
    public func perform(
        _ operation: Operation, deadline: Deadline = .never
    ) async throws(IOError) -> Int32 {
        try await performOnce(operation, deadline).result
    }

    /// Carries out one operation and returns its completion, with the result and the flags. Everything else is as for
    /// ``perform(_:deadline:)``.
    public func complete(
        _ operation: Operation, deadline: Deadline = .never
    ) async throws(IOError) -> Completion {
        try await performOnce(operation, deadline)
    }

    @inline(__always)
    private func performOnce(_ operation: Operation, _ deadline: Deadline) async throws(IOError) -> Completion {
        guard !operation.isRepeating else {
            throw IOError(
                .invalidArgument, operation.name,
                advice: "a task receives one completion; repeat an operation that completes once")
        }
        do throws(IOError) {
            return try await perform(operation, deadline.nanoseconds, "", nil)
        } catch {
            // Only for an error: a string of the name costs more than a hundred instructions.
            var error = error
            error.operation = operation.name
            throw error
        }
    }

    /// Requests cancellation of every operation on a descriptor, or with nil of all operations of this runtime,
    /// including those that wait for a slot. Each operation's own completion reports the outcome. Releases
    /// (`Operation.isRelease`), such as a close, continue. Returns the number of operations concerned.
    @discardableResult
    public func requestCancelAll(on descriptor: Descriptor? = nil) async throws(IOError) -> Int {
        try check("cancel")
        var count = 0
        for loop in loops {
            // First, so that a slot that becomes free does not admit one of these.
            count += loop.cancelWaiting(on: descriptor)
            // As a job, which needs no slot: the operations to be cancelled may occupy all slots.
            count += await Task(executorPreference: loop) { loop.core.requestCancelAll(on: descriptor) }.value
        }
        return count
    }

    /// A buffer of at least `count` bytes (up to 16 MiB), aligned for direct I/O; waits while the pool's 256 MiB are in
    /// use. It returns to the pool when it is dropped.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` for a negative count or more than 16 MiB; ``IOError/Code/cancelled``;
    ///   ``IOError/Code/limitReached`` with ``AtLimit/fail``.
    public func acquireBuffer(count: Int) async throws(IOError) -> IOBuffer {
        try await buffers.acquire(count: count)
    }

    /// The number of bytes in buffers. For tests.
    package var bufferBytesInUse: Int { buffers.usedSize }

    /// The common path of every operation that a task waits for.
    func perform(
        _ operation: Operation, _ deadline: Nanoseconds, _ name: String, _ path: Path?
    ) async throws(IOError) -> Completion {
        let completion: Completion
        do throws(IOError) {
            completion = try await loop(for: operation, name).perform(operation, deadline, name)
        } catch {
            var error = error
            error.path = path
            throw error
        }
        guard completion.result >= 0 else { throw IOError(completion, name, path: path) }
        return completion
    }

    /// The loop that the caller runs on, or else the loop of the operation's descriptor. Operations on paths and work
    /// for workers have no natural loop and are spread over all of them.
    func loop(for operation: Operation, _ name: String) throws(IOError) -> IOLoop {
        try check(name)
        guard loops.count > 1 else { return loops[0] }
        if let currentLoop { return currentLoop }
        let number = operation.descriptor.map { UInt32(bitPattern: $0.number) }
        // Relaxed: the choice only balances the load, and wraps around with the counter.
        return loops[Int(number ?? turn.wrappingAdd(1, ordering: .relaxed).oldValue) % loops.count]
    }

    /// Throws if the runtime has no loops, or in a forked child.
    @inline(__always)
    func check(_ operation: @autoclosure () -> String) throws(IOError) {
        if let failure { throw failure }
        try process.check(operation())
    }

    /// Whether the caller runs on one of the loops. Loops block all signals. On other threads a write to a pipe without
    /// readers raises SIGPIPE in the calling thread, which ends the program.
    var isOnLoop: Bool { loops.contains { $0.core.isCurrent } }

    private var currentLoop: IOLoop? { loops.first { $0.core.isCurrent } }

    /// Whether a task that was served without suspending lets the other tasks of its loop go first. Always false on
    /// other threads: the global executor has several.
    @inline(never)
    func isTurnOver(_ turn: CacheGuess.Turn) -> Bool {
        guard let currentLoop else { return false }
        return turn == .ends || currentLoop.hasOtherJobs
    }

    // MARK: Shutdown

    /// Ends all loops: new operations fail with ``IOError/Code/runtimeShutDown``, and those in flight are completed.
    /// Returns when all completions have been delivered. May be called repeatedly and from several tasks.
    public func shutdown(_ mode: ShutdownMode = .drain) async {
        guard !process.isForked, !loops.isEmpty else { return }
        let running = RunningLoops(loops.count)
        // All begin before the first is waited for: a drain of one loop may take as long as a peer is silent.
        await withUnsafeContinuation { continuation in
            for loop in loops {
                loop.beginShutdown(mode) { if running.endOne() { continuation.resume() } }
            }
        }
    }

    /// Ends all loops, as ``shutdown(_:)`` does, for threads outside of tasks: blocks the thread until the loops have
    /// ended. Must not be called on a loop's own thread.
    public func blockingShutdown(_ mode: ShutdownMode = .drain) {
        guard !process.isForked else { return }
        let ended = BlockingSignal()
        for loop in loops { loop.beginShutdown(mode) { ended.set() } }
        for _ in loops { ended.blockingWait() }
    }
}

/// The number of loops that a shutdown still waits for.
private final class RunningLoops: Sendable {
    private let count: Atomic<Int>

    init(_ count: Int) { self.count = Atomic(count) }

    /// Returns true for the last loop. Acquiring and releasing: whoever waits for all sees what each has done.
    func endOne() -> Bool { count.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0 }
}
