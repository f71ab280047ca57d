public import AIOCore
internal import CKernel

/// Operations without tasks, carried out by the loops of a runtime. Completions make a descriptor readable, for
/// programs that run another event loop. With a ``limit`` of 1 a group is a descriptor for a single operation.
///
/// ``start(_:context:deadline:)`` and ``drain(_:)`` may be called on any thread. Memory that an operation refers to is
/// borrowed until its completion is drained. Repeating operations are refused; use an ``IOQueue`` for them.
///
/// A group that is dropped cancels what is in flight, and reports this in the log: the memory must stay allocated until
/// the operations have completed.
public final class OperationGroup: Sendable {
    /// The runtime whose loops carry the operations out.
    public let runtime: IORuntime
    /// The maximum number of operations between their start and their drain.
    public let limit: Int
    private let state: OperationGroupState

    /// `event` is an eventfd(2) of the caller, to which each completion adds 1, as Linux AIO does with IOCB_FLAG_RESFD.
    /// The group duplicates the descriptor, so the caller may close its own at any time, and several groups may share
    /// one eventfd. With nil, the group creates a descriptor of its own.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` for a limit that is not 1 to 65536, or if `event` is not an eventfd;
    ///   ``IOError/Code/badDescriptor`` if `event` is not open; ``IOError/Code/tooManyOpenFiles``.
    public init(limit: Int = 256, event: Int32? = nil, runtime: IORuntime = .shared) throws(IOError) {
        try runtime.check("eventfd")
        // The places of all are allocated here, some 100 bytes each; a loop has no more slots by default anyway.
        guard (1...65536).contains(limit) else {
            throw IOError(.invalidArgument, "eventfd", advice: "the limit must be 1 to 65536")
        }
        self.runtime = runtime
        self.limit = limit
        let event = if let event { try Self.duplicate(event) } else { try Self.ownEvent() }
        state = OperationGroupState(limit: limit, event: event)
    }

    /// Checked here, because a completion that is written to another file would corrupt it. What is checked is the
    /// duplicate, whose number nobody else closes.
    private static func duplicate(_ number: Int32) throws(IOError) -> OperationGroupState.Event {
        let duplicate = Kernel.duplicate(number)
        guard duplicate >= 0 else { throw IOError(result: Int32(truncatingIfNeeded: duplicate), "eventfd") }
        let checked = Kernel.checkEvent(Int32(duplicate))
        guard checked >= 0 else {
            Kernel.close(Int32(duplicate))
            var error = IOError(result: Int32(truncatingIfNeeded: checked), "eventfd")
            if error.code == .invalidArgument { error.advice = "descriptor \(number) is not an eventfd" }
            throw error
        }
        return .duplicate(Int32(duplicate))
    }

    private static func ownEvent() throws(IOError) -> OperationGroupState.Event {
        var refused: Int32 = 0
        guard let timer = MarkedTimer(errno: &refused) else { throw IOError(result: -refused, "timerfd") }
        return .own(timer)
    }

    deinit {
        let count = requestCancelAll()
        guard count > 0 else { return }
        runtime.configuration.log(
            "an operation group was dropped with \(count) operation\(count == 1 ? "" : "s") in flight")
    }

    /// A descriptor that poll(2) and epoll(7) report readable when there is something to drain. The group's own
    /// descriptor is reset by ``drain(_:)`` and must not be read; of an eventfd that was passed in it is a duplicate,
    /// and the caller resets it by reading it.
    public var pollableDescriptor: Int32 { state.eventNumber }

    /// The number of operations started and not yet drained.
    public var inFlightCount: Int { state.usedCount }

    // MARK: Starting

    /// Starts an operation on a loop; `context` comes back with its completion. Never waits.
    ///
    /// What an ``IOQueue`` does in two steps, to prepare an operation and to submit all that are prepared, is one here:
    /// the loop submits on its own thread. At its deadline the operation is cancelled, and its completion says so.
    ///
    /// - Throws: ``IOError/Code/limitReached`` if ``limit`` operations are in flight, or as many as the loop's
    ///   configuration permits; ``IOError/Code/invalidArgument`` for a repeating operation;
    ///   ``IOError/Code/runtimeShutDown``; ``IOError/Code/forked``.
    public func start(
        _ operation: Operation, context: UInt = 0, deadline: Deadline = .never
    ) throws(IOError) {
        try runtime.check(operation.name)
        guard !operation.isRepeating else {
            throw IOError(
                .invalidArgument, operation.name, advice: "the operation completes more than once; use an IOQueue")
        }
        let loop = try runtime.loop(for: operation, operation.name)
        guard let place = state.acquire() else {
            throw IOError(.limitReached, operation.name, advice: "drain completions, or raise the group's limit")
        }
        guard let token = loop.core.prepare(operation, context: place.context, deadline: deadline.nanoseconds) else {
            state.release(place)
            guard loop.core.isRunning else { throw IOError(.runtimeShutDown, operation.name) }
            throw IOError(.limitReached, operation.name, advice: "raise the runtime's queueDepth")
        }
        state.begin(place, token, loop, context, operation)
        loop.core.stage(token)
    }

    /// Requests cancellation of the operations with this context, except for releases (`Operation.isRelease`), and
    /// returns their number. Their completions report the outcome: `-ECANCELED`, or the usual result of one that was
    /// faster.
    @discardableResult
    public func requestCancel(context: UInt) -> Int { state.requestCancel { $0 == context } }

    /// Requests cancellation of all operations of the group except for releases (`Operation.isRelease`), and returns
    /// their number. Their completions report the outcome.
    @discardableResult
    public func requestCancelAll() -> Int { state.requestCancel { _ in true } }

    // MARK: Completion

    /// Passes each completion to `body`, oldest first, with its context, and returns their number. Does not wait.
    /// `body` may start new operations. Only one thread may drain at a time.
    @discardableResult
    public func drain(_ body: (Completion, UInt) -> Void) -> Int {
        guard (try? runtime.check("drain")) != nil else { return 0 }
        state.clearEvent()
        var count = 0
        while let (completion, context) = state.pop() {
            body(completion, context)
            count += 1
        }
        return count
    }
}
