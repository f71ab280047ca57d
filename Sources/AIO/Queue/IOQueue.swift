public import AIOCore
internal import CKernel

/// Operations without tasks, driven by the caller's own thread: prepare, submit, wait, drain.
///
/// For programs with an event loop of their own, such as database engines. One thread uses a queue at a time; another
/// may take over, even after the submitting thread has exited. A synchronous call is a submit and a wait:
/// ``blockingPerform(_:deadline:)``.
public final class IOQueue {
    /// The engine and the limits of a queue.
    public struct Configuration: Sendable {
        /// The engine, by default the best that is available.
        public var engine = EngineChoice.automatic
        /// The maximum number of operations between prepare and drain, 1 to 16,000. Their slots are allocated at the
        /// start; 256 are more than a single device can work on at a time.
        public var queueDepth = 256
        /// The maximum number of worker threads for blocking calls, 1 to 4096. They are started on demand.
        public var workerLimit = 64
        /// Whether buffered reads that miss the page cache are served by readahead(2) instead of by workers, on any
        /// engine but `io_uring`. A thread that waits in the queue then executes the oldest read itself, unless the
        /// queue's descriptor is exported (``IOQueue/pollableDescriptor``).
        public var readsAhead = false

        /// The best engine, and the default limits.
        public init() {}
    }

    /// The engine that was selected, and why.
    public let selection: EngineSelection
    /// The maximum number of operations between prepare and drain.
    public let queueDepth: Int
    /// Behind a pointer, so that accesses have no exclusivity checks at run time.
    private let queue: UnsafeMutablePointer<EngineQueue>
    /// Tokens of operations that are prepared and not yet submitted.
    private let prepared: UnsafeMutablePointer<Token>
    private var preparedCount = 0
    private let process: ProcessGuard

    /// Makes a queue, with its ring or descriptors; worker threads start on demand.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if a value is out of range; ``IOError/Code/engineUnavailable`` if a
    ///   forced engine is not available; ``IOError/Code/tooManyOpenFiles``; ``IOError/Code/outOfMemory`` at the limit
    ///   of locked memory.
    public init(_ configuration: Configuration = Configuration()) throws(IOError) {
        var settings = EngineConfiguration(
            queueDepth: configuration.queueDepth, workerLimit: configuration.workerLimit)
        settings.readsAhead = configuration.readsAhead
        let simulated = RuntimeStandIn.current?.work(settings)
        process = simulated == nil ? ProcessGuard() : ProcessGuard(forCallingThread: ())
        (selection, queue) = try configuration.engine.select(settings) { kind, settings throws(EngineFailure) in
            let made =
                if let simulated { try EngineQueue(byHand: simulated.get(), settings) } else {
                    try EngineQueue(kind, settings)
                }
            let queue = UnsafeMutablePointer<EngineQueue>.allocate(capacity: 1)
            queue.initialize(to: made)
            return queue
        }
        queueDepth = configuration.queueDepth
        prepared = .allocate(capacity: queueDepth)
    }

    /// Cancels everything in flight and waits for it, since the memory it refers to may be freed together with the
    /// queue.
    deinit {
        if !process.isForked {
            queue.pointee.requestCancelAll()
            while queue.pointee.inFlightCount > 0 {
                _ = queue.pointee.wait(atLeast: 1, until: .never)
                queue.pointee.discardReady()
            }
            queue.deinitialize(count: 1)
        }
        queue.deallocate()
        prepared.deallocate()
    }

    /// The number of operations submitted and not yet drained.
    public var inFlightCount: Int { queue.pointee.inFlightCount }

    // MARK: Submission

    /// Accepts an operation, which ``submit()`` or ``wait(atLeast:deadline:)`` then starts. `context` comes back with
    /// the completion. Memory that the operation refers to is borrowed until its completion is drained.
    /// At its deadline the operation is cancelled, and its completion says so.
    ///
    /// - Throws: ``IOError/Code/limitReached`` if ``queueDepth`` operations are prepared or in flight;
    ///   ``IOError/Code/forked``.
    @discardableResult
    @inline(__always)
    public func prepare(
        _ operation: Operation, context: UInt = 0, deadline: Deadline = .never
    ) throws(IOError) -> Token {
        try process.check(operation.name)
        guard let token = queue.pointee.prepare(operation, context: context, deadline: deadline.nanoseconds) else {
            throw IOError(.limitReached, operation.name, advice: "drain completions, or raise queueDepth")
        }
        prepared[preparedCount] = token
        preparedCount += 1
        return token
    }

    /// Hands all prepared operations to the engine. Never waits for a device. Operations that the page cache can serve
    /// may complete here. Kernel call: io_uring_enter(2), io_submit(2), or those of attempts without blocking.
    ///
    /// - Throws: ``IOError/Code/forked``.
    public func submit() throws(IOError) {
        try process.check("submit")
        stagePrepared()
        queue.pointee.submit()
    }

    @inline(__always)
    private func stagePrepared() {
        queue.pointee.stage(UnsafeBufferPointer(start: prepared, count: preparedCount))
        preparedCount = 0
    }

    /// Requests cancellation of an operation. Its completion reports the outcome: `-ECANCELED`, or the usual result if
    /// it was faster. Returns false if the token is stale, if cancellation was requested before, or if the operation is
    /// a release (`Operation.isRelease`).
    @discardableResult
    public func requestCancel(_ token: Token) -> Bool {
        guard !process.isForked else { return false }
        stagePrepared()
        let isAsked = queue.pointee.requestCancel(token) == 0
        // Submitted now, since the caller may wait for the descriptor next.
        queue.pointee.submit()
        return isAsked
    }

    /// Requests cancellation of every operation on a descriptor, or with nil of all operations of the queue. Each
    /// completion reports the outcome. Returns the number of operations concerned.
    @discardableResult
    public func requestCancelAll(on descriptor: Descriptor? = nil) -> Int {
        guard !process.isForked else { return 0 }
        stagePrepared()
        let count = queue.pointee.requestCancelAll(on: descriptor)
        // Submitted now, as in `requestCancel`.
        queue.pointee.submit()
        return count
    }

    // MARK: Completion

    /// Submits, and blocks until `count` completions can be drained, nothing is in flight any more, or the deadline
    /// passes. Returns the number of completions that can be drained, including those that were ready before.
    ///
    /// While messages arrive (on sockets and pipes), `wait` paces operations on files so that they do not delay the
    /// messages; ``submit()`` starts all of them.
    ///
    /// - Throws: ``IOError/Code/forked``. That the deadline has passed is no error.
    @discardableResult
    public func wait(atLeast count: Int = 1, deadline: Deadline = .never) throws(IOError) -> Int {
        try process.check("wait")
        stagePrepared()
        return queue.pointee.wait(atLeast: count, until: deadline.nanoseconds)
    }

    /// Passes each ready completion to `body`, oldest first, with the context of its operation. Returns their number.
    /// Does not wait. `body` may prepare new operations, which the next submit or wait starts.
    @discardableResult
    @inline(__always)
    public func drain(_ body: (Completion, UInt) -> Void) -> Int {
        guard !process.isForked else { return 0 }
        return EngineQueue.drain(queue, body)
    }

    /// Carries out one operation and blocks its thread until it has completed. Returns its result, such as a count of
    /// bytes.
    ///
    /// - Throws: ``IOError/Code/limitReached`` if other operations are prepared or in flight on the queue, since their
    ///   completions would have to be drained first; ``IOError/Code/invalidArgument`` for a repeating operation;
    ///   ``IOError/Code/deadlineExceeded``; ``IOError/Code/forked``; or the error of the operation.
    public func blockingPerform(
        _ operation: Operation, deadline: Deadline = .never
    ) throws(IOError) -> Int32 {
        try process.check(operation.name)
        guard !operation.isRepeating else {
            throw IOError(
                .invalidArgument, operation.name,
                advice: "the operation completes more than once; use prepare and drain")
        }
        guard inFlightCount == 0, preparedCount == 0 else {
            throw IOError(.limitReached, operation.name, advice: "other operations are in flight on this queue")
        }
        try prepare(operation, deadline: deadline)
        try wait()
        guard let delivery = queue.pointee.popReady() else { throw IOError(.other, operation.name) }
        guard delivery.completion.result >= 0 else { throw IOError(delivery.completion, operation.name, path: nil) }
        return delivery.completion.result
    }

    // MARK: Waiting in another event loop

    /// A descriptor that poll(2) and epoll(7) report readable while there is something to drain. It belongs to the
    /// queue: wait for it and then call ``drain(_:)``; do not read or close it. It is made on the first call.
    ///
    /// - Throws: ``IOError/Code/tooManyOpenFiles`` on the first call; ``IOError/Code/forked``.
    public var pollableDescriptor: Int32 {
        get throws(IOError) {
            try process.check("descriptor")
            let number = queue.pointee.exportDescriptor()
            guard number >= 0 else { throw IOError(result: number, "descriptor") }
            return number
        }
    }

    /// Submits on all queues, and blocks until one of them has something to drain, nothing is in flight on any, or the
    /// deadline passes. Returns the indices of the queues that have something to drain. Kernel call: ppoll(2).
    ///
    /// - Throws: ``IOError/Code/tooManyOpenFiles`` if a queue's ``pollableDescriptor`` cannot be made;
    ///   ``IOError/Code/forked``.
    public static func wait(
        forAnyOf queues: [IOQueue], deadline: Deadline = .never
    ) throws(IOError) -> [Int] {
        var entries: [ck_pollfd] = []
        for queue in queues {
            try queue.submit()
            entries.append(ck_pollfd(descriptor: try queue.pollableDescriptor, events: Int16(CK_POLLIN), returned: 0))
        }
        let until = deadline.nanoseconds
        while true {
            let ready = queues.indices.filter { queues[$0].hasReady() }
            guard ready.isEmpty, queues.contains(where: { $0.inFlightCount > 0 }) else { return ready }
            let now = Kernel.now()
            guard now < until else { return [] }
            var remaining = ck_timespec(until &- now)
            if until == .never {
                _ = Kernel.ppoll(&entries, entries.count, nil)
            } else {
                _ = Kernel.ppoll(&entries, entries.count, &remaining)
            }
        }
    }

    private func hasReady() -> Bool {
        queue.pointee.submit()
        return queue.pointee.readyCount > 0
    }

    // MARK: Registrations

    /// Registers open files, which operations then name by `Descriptor.registered(index)`; this saves the kernel a
    /// lookup per operation. The queue keeps the files open until ``unregisterFiles()``. One set at a time. Kernel
    /// call: io_uring_register(2); other engines duplicate the descriptors.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` for an empty array; ``IOError/Code/badDescriptor`` for a file that is
    ///   not open; ``IOError/Code/tooManyOpenFiles``; `EBUSY` (``IOError/errno``) while a set is registered;
    ///   ``IOError/Code/forked``.
    public func register(files: [Int32]) throws(IOError) {
        try process.check("register files")
        let result = files.withUnsafeBufferPointer { queue.pointee.register(files: $0) }
        guard result >= 0 else { throw IOError(result: Int32(result), "register files") }
    }

    /// Unregisters the files; the queue no longer keeps them open. Operations in flight continue.
    ///
    /// - Throws: `ENXIO` (``IOError/errno``) if no files are registered; ``IOError/Code/forked``.
    public func unregisterFiles() throws(IOError) {
        try process.check("unregister files")
        let result = queue.pointee.unregisterFiles()
        guard result >= 0 else { throw IOError(result: Int32(result), "unregister files") }
    }

    /// Registers memory, which transfers within it then name by `Transfer.bufferIndex`; this saves the kernel from
    /// pinning it for each transfer. The memory stays the caller's and must remain allocated until
    /// ``unregisterBuffers()``. Kernel call: io_uring_register(2); other engines use the memory as it is.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` for an empty array; ``IOError/Code/outOfMemory`` if the memory
    ///   exceeds RLIMIT_MEMLOCK, against which it counts; `EBUSY` (``IOError/errno``) while memory is registered;
    ///   ``IOError/Code/forked``.
    public func register(buffers: [UnsafeMutableRawBufferPointer]) throws(IOError) {
        try process.check("register buffers")
        let vectors = buffers.map { iovec(iov_base: $0.baseAddress, iov_len: $0.count) }
        let result = vectors.withUnsafeBufferPointer { queue.pointee.register(buffers: $0) }
        guard result >= 0 else {
            var error = IOError(result: Int32(result), "register buffers")
            if error.code == .outOfMemory { error.advice = "raise RLIMIT_MEMLOCK (ulimit -l), or register less" }
            throw error
        }
    }

    /// Unregisters the memory, which the caller may then deallocate once the operations on it are drained.
    ///
    /// - Throws: `ENXIO` (``IOError/errno``) if no memory is registered; ``IOError/Code/forked``.
    public func unregisterBuffers() throws(IOError) {
        try process.check("unregister buffers")
        let result = queue.pointee.unregisterBuffers()
        guard result >= 0 else { throw IOError(result: Int32(result), "unregister buffers") }
    }
}
