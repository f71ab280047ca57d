public import AIOCore
internal import CKernel

/// Operations without tasks, carried out by the loops of a runtime, whose completions make a descriptor readable: for
/// programs whose loop is somebody else's. With a `limit` of 1 it is a descriptor for each operation.
///
/// Operations are submitted and drained on any thread. What they point at is borrowed until they are drained. Those that
/// complete more than once are refused: an `IOQueue`, which its user drives, is for them.
///
/// A group that is dropped asks what is in flight to end, and says in the log if there was something: its memory has to
/// stay until it has ended.
public final class OperationGroup: Sendable {
    public let runtime: IORuntime
    /// Most operations between submit and drain.
    public let limit: Int
    private let state: OperationGroupState

    /// `event` is an eventfd(2) of the caller's, to which each completion adds 1, as Linux AIO does with IOCB_FLAG_RESFD:
    /// it may be that of several groups, and is borrowed as long as operations are in flight. Without it the group makes
    /// one. Throws `invalidArgument` for a limit that is not 1 to 65536, `tooManyOpenFiles`.
    public init(limit: Int = 256, event: Int32? = nil, runtime: IORuntime = .shared) throws(IOError) {
        try runtime.check("eventfd")
        guard (1...65536).contains(limit) else {
            throw IOError(.invalidArgument, "eventfd", advice: "the limit is 1 to 65536")
        }
        guard event ?? 0 >= 0 else { throw IOError(result: event ?? -EBADF, "eventfd") }
        self.runtime = runtime
        self.limit = limit
        let event: OperationGroupState.Event = if let event { .borrowed(event) } else { try Self.ownEvent() }
        state = OperationGroupState(limit: limit, event: event)
    }

    private static func ownEvent() throws(IOError) -> OperationGroupState.Event {
        var refused: Int32 = 0
        guard let timer = MarkedTimer(errno: &refused) else { throw IOError(result: -refused, "timerfd") }
        return .own(timer)
    }

    deinit {
        let count = requestCancelAll()
        guard count > 0 else { return }
        runtime.configuration.log("a group of operations was dropped with \(count) of them in flight")
    }

    /// Readable, as poll(2), epoll(7) and their like see it, when there is something to drain: the group's own, which
    /// `drain` resets and nobody else reads, or the one that was given, which its owner reads.
    public var descriptor: Int32 { state.eventNumber }

    /// Operations submitted and not yet drained.
    public var inFlightCount: Int { state.usedCount }

    // MARK: Down

    /// Hands an operation over; `context` comes back with its completion. Never waits. Throws `limitReached` if `limit`
    /// operations are on their way, or the loop's own limit is reached; `runtimeShutDown`.
    public func submit(
        _ operation: Operation, context: UInt = 0, deadline: Deadline = .never
    ) throws(IOError) {
        try runtime.check(operation.name)
        guard !operation.isRepeating else {
            throw IOError(.invalidArgument, operation.name, advice: "it completes more than once; use an IOQueue")
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

    /// Asks for an end to the operations that were given this context. Their completions tell what came of it. Returns how
    /// many were asked; those that give something up (`Operation.isRelease`) are not.
    @discardableResult
    public func requestCancel(context: UInt) -> Int { state.requestCancel { $0 == context } }

    /// Asks for an end to all operations of the group.
    @discardableResult
    public func requestCancelAll() -> Int { state.requestCancel { _ in true } }

    // MARK: Up

    /// Hands each completion that has come to `body`, oldest first, with its context. Returns how many there were. `body`
    /// may submit new operations. One thread at a time.
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
