public import AIOCore
internal import CKernel

/// Operations without tasks: prepare, submit, wait, drain, on the caller's own thread.
///
/// For programs that run their own loop, as database engines do. One thread uses a queue at a time; another may take
/// it over, also when the one that submitted has exited. A synchronous call is submit plus wait: `blockingPerform`.
public final class IOQueue {
    public struct Configuration: Sendable {
        public var engine = EngineChoice.automatic
        /// Most operations between prepare and drain.
        public var queueDepth = 256
        /// Most worker threads.
        public var workerLimit = 64

        public init() {}
    }

    public let selection: EngineSelection
    public let queueDepth: Int
    /// Behind a pointer, so that no access is checked at run time.
    private let queue: UnsafeMutablePointer<EngineQueue>
    /// Prepared and not yet submitted.
    private let prepared: UnsafeMutablePointer<Token>
    private var preparedCount = 0
    private let process = ProcessGuard()

    /// Throws if a value is out of range, a forced engine is not available, or descriptors have run out.
    public init(_ configuration: Configuration = Configuration()) throws(IOError) {
        let settings = EngineConfiguration(
            queueDepth: configuration.queueDepth, workerLimit: configuration.workerLimit)
        (selection, queue) = try configuration.engine.select(settings) { kind, settings throws(EngineFailure) in
            let made = try EngineQueue(kind, settings)
            let queue = UnsafeMutablePointer<EngineQueue>.allocate(capacity: 1)
            queue.initialize(to: made)
            return queue
        }
        queueDepth = configuration.queueDepth
        prepared = .allocate(capacity: queueDepth)
    }

    /// Asks everything in flight to end and waits for it: the memory that it points at may go away with the queue.
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

    /// Operations submitted and not yet drained.
    public var inFlightCount: Int { queue.pointee.inFlightCount }

    // MARK: Down

    /// Accepts an operation; `submit` or `wait` sends it off. `context` comes back with its completion. What it points
    /// at is borrowed until that is drained. Throws `limitReached` when `queueDepth` operations are on their way.
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

    /// Hands everything prepared to the engine. Never waits for a device; what the page cache holds may complete here.
    public func submit() throws(IOError) {
        try process.check("submit")
        stagePrepared()
        queue.pointee.submit()
    }

    @inline(__always)
    private func stagePrepared() {
        for index in 0..<preparedCount { queue.pointee.stage(prepared[index]) }
        preparedCount = 0
    }

    /// Asks for an end to an operation. Its completion tells what came of it: ECANCELED, or that it was done all the
    /// same. False if the token names nothing in flight, was asked for before, or is of an operation that gives something up,
    /// which is not taken back (`Operation.isRelease`).
    @discardableResult
    public func requestCancel(_ token: Token) -> Bool {
        guard !process.isForked else { return false }
        stagePrepared()
        let isAsked = queue.pointee.requestCancel(token) == 0
        // The kernel hears of it now: the caller may go on to wait for the descriptor.
        queue.pointee.submit()
        return isAsked
    }

    /// Asks for an end to every operation on a descriptor, or with nil to all of this queue's. Each one's completion tells
    /// what came of it. Returns how many were asked.
    @discardableResult
    public func requestCancelAll(on descriptor: Descriptor? = nil) -> Int {
        guard !process.isForked else { return 0 }
        stagePrepared()
        let count = queue.pointee.requestCancelAll(on: descriptor)
        // As above.
        queue.pointee.submit()
        return count
    }

    // MARK: Up

    /// Submits, and blocks until `count` completions can be drained, nothing is in flight any more, or the deadline
    /// passed. Returns how many can be drained. Those that were ready before count.
    ///
    /// While messages come (on sockets and pipes), `wait` begins operations on files as there is time for them, so that they
    /// do not hold the others up; `submit` begins all.
    @discardableResult
    public func wait(atLeast count: Int = 1, deadline: Deadline = .never) throws(IOError) -> Int {
        try process.check("wait")
        stagePrepared()
        return queue.pointee.wait(atLeast: count, until: deadline.nanoseconds)
    }

    /// Hands each completion that is ready to `body`, oldest first, with the context that its operation was given.
    /// Returns how many there were. `body` may prepare new operations.
    @discardableResult
    @inline(__always)
    public func drain(_ body: (Completion, UInt) -> Void) -> Int {
        guard !process.isForked else { return 0 }
        queue.pointee.turn()
        var count = 0
        while let delivery = queue.pointee.popReady() {
            body(delivery.completion, delivery.context)
            count += 1
        }
        return count
    }

    /// Carries one operation out and blocks until it is done. For a queue with nothing else in flight: completions of
    /// others would have to be drained first, and this throws `limitReached` instead.
    public func blockingPerform(
        _ operation: Operation, deadline: Deadline = .never
    ) throws(IOError) -> Int32 {
        try process.check(operation.name)
        guard !operation.isRepeating else {
            throw IOError(.invalidArgument, operation.name, advice: "it completes more than once; prepare and drain it")
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

    // MARK: Waiting elsewhere

    /// A descriptor that poll(2), epoll(7) and their like find readable while there is something to drain. It is the
    /// queue's own: wait for it, then call `drain`; do not read or close it.
    public func descriptor() throws(IOError) -> Int32 {
        try process.check("descriptor")
        let number = queue.pointee.exportDescriptor()
        guard number >= 0 else { throw IOError(result: number, "descriptor") }
        return number
    }

    /// Submits on all queues, and blocks until one of them has something to drain or the deadline passed. Returns the
    /// indices of those that have.
    public static func wait(
        forAnyOf queues: [IOQueue], deadline: Deadline = .never
    ) throws(IOError) -> [Int] {
        var entries: [ck_pollfd] = []
        for queue in queues {
            try queue.submit()
            entries.append(ck_pollfd(descriptor: try queue.descriptor(), events: Int16(CK_POLLIN), returned: 0))
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

    /// Registers open files: operations may then name them by `Descriptor.registered(index)`, which spares the kernel
    /// looking each up. The queue holds them open until `unregisterFiles`. One set at a time.
    public func register(files: [Int32]) throws(IOError) {
        try process.check("register files")
        let result = files.withUnsafeBufferPointer { queue.pointee.register(files: $0) }
        guard result >= 0 else { throw IOError(result: Int32(result), "register files") }
    }

    public func unregisterFiles() throws(IOError) {
        try process.check("unregister files")
        let result = queue.pointee.unregisterFiles()
        guard result >= 0 else { throw IOError(result: Int32(result), "unregister files") }
    }

    /// Registers memory: transfers within it may name it by `Transfer.bufferIndex`, which spares the kernel pinning
    /// it each time. It stays the caller's, and must stay until `unregisterBuffers`. It counts against
    /// RLIMIT_MEMLOCK: `outOfMemory` says that this is used up.
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

    public func unregisterBuffers() throws(IOError) {
        try process.check("unregister buffers")
        let result = queue.pointee.unregisterBuffers()
        guard result >= 0 else { throw IOError(result: Int32(result), "unregister buffers") }
    }
}
