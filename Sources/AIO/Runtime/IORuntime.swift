public import AIOCore
internal import Synchronization

/// The loops that carry out a program's operations.
///
/// Most programs use `IORuntime.shared`. A runtime of one's own is shut down by its owner; one that is dropped
/// without that is ended in the background.
public final class IORuntime: Sendable {
    /// One loop, the best engine there is (or AIO_ENGINE's), and the default limits. Made when first used.
    public static let shared = IORuntime()

    public struct Configuration: Sendable {
        public var engine = EngineChoice.automatic
        /// Threads that submit and complete. One serves hundreds of thousands of operations a second.
        public var loops = 1
        /// Most operations in flight on a loop, not counting those that wait.
        public var queueDepth = 256
        /// Most operations on a loop that wait for somebody else or for the clock: on sockets, pipes, terminals and polls, for
        /// children and timers. A connection that is read from takes one, as does one that is written to and does not get on.
        /// Each costs about half a kilobyte at the start. With 0 they take their places among the others.
        public var waitingLimit = 4096
        /// Most worker threads a loop may have for what can only be done by blocking one; and as many again for what waits until
        /// another party comes, such as the open of a FIFO.
        public var workerLimit = 64
        public var atLimit = AtLimit.wait
        /// Whether reads first try the page cache on the calling thread.
        public var inlineAttempts = true
        /// Takes one line about something that went wrong and has nobody else to tell. To standard error by default.
        public var log: @Sendable (String) -> Void = { line in writeToStandardError("swift-aio: \(line)\n") }
        /// Called on a loop's thread whenever a job has run on it: for measurements.
        package var jobEnded: (@Sendable () -> Void)?

        public init() {}
    }

    /// What becomes of an operation that finds its limit, the queue depth or that of what waits, used up.
    public enum AtLimit: Sendable {
        /// It waits its turn.
        case wait
        /// It fails with `IOError.Code.limitReached`.
        case fail
    }

    public enum ShutdownMode: Sendable {
        /// Everything in flight is carried out. Waits for ever if something does, such as a read from a silent pipe.
        case drain
        /// Everything in flight is asked to end, but for what gives something up, such as a close. What cannot be stopped is
        /// still waited for.
        case cancel
    }

    public let configuration: Configuration
    public let selection: EngineSelection
    public let loops: [IOLoop]
    let buffers: BufferPool
    let nameLookups: NameLookups
    private let process = ProcessGuard()
    /// Counts what is on no descriptor, to spread it over the loops.
    private let turn = Atomic<UInt32>(0)
    /// Why there are no loops; only ever so in `shared`.
    private let failure: IOError?

    /// Throws if a value is out of range, a forced engine is not available, or threads or descriptors have run out.
    public init(_ configuration: Configuration = Configuration()) throws(IOError) {
        (selection, loops) = try Self.start(configuration)
        self.configuration = configuration
        buffers = BufferPool(atLimit: configuration.atLimit)
        nameLookups = NameLookups(workerLimit: configuration.workerLimit)
        failure = nil
    }

    /// `shared`: cannot throw, so an error waits for the first operation.
    private init() {
        configuration = Configuration()
        buffers = BufferPool(atLimit: .wait)
        nameLookups = NameLookups(workerLimit: configuration.workerLimit)
        do throws(IOError) {
            (selection, loops) = try Self.start(configuration)
            failure = nil
        } catch {
            selection = EngineSelection(engine: .threads, reason: "\(error)")
            loops = []
            failure = error
        }
    }

    private static func start(_ configuration: Configuration) throws(IOError) -> (EngineSelection, [IOLoop]) {
        guard (1...1024).contains(configuration.loops) else {
            throw IOError(.invalidArgument, "runtime", advice: "loops is 1 to 1024")
        }
        var settings = EngineConfiguration(
            queueDepth: configuration.queueDepth, workerLimit: configuration.workerLimit)
        settings.waitingLimit = configuration.waitingLimit
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
        // In a forked child the loops are the parent's.
        guard !process.isForked else { return }
        for loop in loops { loop.beginShutdown(.cancel) {} }
    }

    /// Operations in flight on all loops now.
    public var inFlightCount: Int { loops.reduce(0) { $0 + $1.inFlightCount } }

    // MARK: Operations

    /// Carries one operation out and returns its value. Throws what its errno says, `cancelled` or
    /// `deadlineExceeded`.
    ///
    /// What the operation points at is borrowed until this returns, which it does only when the completion has come,
    /// also when the task is cancelled or the deadline passes. The operation may succeed in spite of either.
    public func perform(
        _ operation: Operation, deadline: Deadline = .never
    ) async throws(IOError) -> Int32 {
        try await complete(operation, deadline: deadline).result
    }

    /// The same, with the completion's flags.
    public func complete(
        _ operation: Operation, deadline: Deadline = .never
    ) async throws(IOError) -> Completion {
        guard !operation.isRepeating else {
            throw IOError(.invalidArgument, operation.name, advice: "a task gets one completion; repeat the single one")
        }
        return try await perform(operation, deadline.nanoseconds, operation.name, nil)
    }

    /// Asks for an end to every operation on a descriptor, or with nil to all of this runtime's, also to those that still
    /// wait for a place. Each operation's own end tells what came of it. What gives something up (`Operation.isRelease`), a
    /// close above all, goes on. Returns how many were asked.
    @discardableResult
    public func requestCancelAll(on descriptor: Descriptor? = nil) async throws(IOError) -> Int {
        try check("cancel")
        var count = 0
        for loop in loops {
            // First: what gives up its place must not let one of these in.
            count += loop.cancelWaiting(on: descriptor)
            // As a job, which needs no place among the operations: those may all be taken by what is to be cancelled.
            count += await Task(executorPreference: loop) { loop.core.requestCancelAll(on: descriptor) }.value
        }
        return count
    }

    /// A buffer of `count` bytes at least, aligned for direct I/O. It returns to the pool when it is dropped.
    public func acquireBuffer(count: Int) async throws(IOError) -> IOBuffer {
        try await buffers.acquire(count: count)
    }

    /// Bytes of the pool that buffers have now: for tests.
    package var bufferBytesInUse: Int { buffers.usedSize }

    /// The way of every operation that a task waits for.
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

    /// The loop that the caller runs on, or the one that this operation's file has. What is on a path, or is a worker's,
    /// is no nearer to one loop than to another: they take turns.
    func loop(for operation: Operation, _ name: String) throws(IOError) -> IOLoop {
        try check(name)
        guard loops.count > 1 else { return loops[0] }
        if let current = loops.first(where: { $0.core.isCurrent }) { return current }
        let number = operation.descriptor.map { UInt32(bitPattern: $0.number) }
        // Relaxed: which loop it is matters little, and wraps with the number.
        return loops[Int(number ?? turn.wrappingAdd(1, ordering: .relaxed).oldValue) % loops.count]
    }

    /// Throws if there is nothing to carry operations out, or this is a forked child.
    @inline(__always)
    func check(_ operation: @autoclosure () -> String) throws(IOError) {
        if let failure { throw failure }
        try process.check(operation())
    }

    /// Whether the caller runs on one of the loops.
    var isOnLoop: Bool { loops.contains { $0.core.isCurrent } }

    /// Calls `body`, a write where the caller stands: a pipe that nobody reads would bring SIGPIPE to that thread, and end the
    /// program. Loops block all signals.
    func withoutBrokenPipeSignal(_ body: () -> Int) -> Int {
        isOnLoop ? body() : Kernel.withoutBrokenPipeSignal(body)
    }

    // MARK: The end

    /// Ends the loops: new operations fail with `runtimeShutDown`, those in flight are seen to their end. Returns when
    /// all completions have been delivered. Calling it again, or from several tasks, does no harm.
    public func shutdown(_ mode: ShutdownMode = .drain) async {
        guard !process.isForked else { return }
        for loop in loops {
            await withUnsafeContinuation { continuation in
                loop.beginShutdown(mode) { continuation.resume() }
            }
        }
    }

    /// `shutdown` for a thread that is no task's: blocks it until the loops have ended. Not on a loop's own thread.
    public func blockingShutdown(_ mode: ShutdownMode = .drain) {
        guard !process.isForked else { return }
        for loop in loops {
            let ended = BlockingSignal()
            loop.beginShutdown(mode) { ended.set() }
            ended.blockingWait()
        }
    }
}
