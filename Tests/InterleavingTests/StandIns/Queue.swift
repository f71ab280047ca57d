internal import CKernel

/// Takes the place of AIOCore's queue: the real in-flight table and the real waker, and an engine that completes what
/// is staged in the next turn. A wait ends with a cancel alone.
public struct EngineQueue: ~Copyable {
    let table: InFlightTable
    private var staged: [Token] = []
    private var waits: [Token] = []
    private var ready: [Delivery] = []
    private(set) var stagedCount: UInt = 0
    private(set) var drainedCount: UInt = 0
    private let engine: Unmanaged<Engine>

    /// What remains of the engine after its end: a wake-up must not come then.
    final class Engine: @unchecked Sendable {
        // @unchecked: one thread runs at a time.
        let waker = Waker()
        fileprivate(set) var isGone = false
        /// The word's value when the wait for it was armed, as a ring arms it; nil if it has ended.
        fileprivate var armedFor: UInt32?
    }

    init(_ engine: Engine, _ configuration: EngineConfiguration) {
        self.engine = .passUnretained(engine)
        table = InFlightTable(capacity: configuration.queueDepth, waitingCapacity: configuration.waitingLimit)
    }

    deinit { engine._withUnsafeGuaranteedRef { $0.isGone = true } }

    var engineKind: EngineKind { .ioUring }
    var holds: FileHolds? { nil }
    var lostErrno: Int32 { 0 }
    var needsNewThread: Bool { false }
    var nextDeadline: Nanoseconds { .never }
    var inFlightCount: Int { Int(stagedCount) - Int(drainedCount) }
    mutating func goOnAfterThread() {}

    mutating func stage(_ token: Token) {
        stagedCount += 1
        if table.stage(token) == .submit {
            if table[token].pointee.operation.isWait { waits.append(token) } else { staged.append(token) }
        } else {
            complete(token, -ECANCELED, isCompleted: true)
        }
    }

    private mutating func complete(_ token: Token, _ result: Int32, isCompleted: Bool = false) {
        if !isCompleted { table.complete(token) }
        ready.append(table[token].pointee.delivery(Completion(token, result: result)))
    }

    mutating func requestCancel(_ token: Token) {
        guard case .askEngine = table.requestCancel(token) else { return }
        guard let index = waits.firstIndex(of: token) else { return }
        waits.remove(at: index)
        complete(token, -ECANCELED)
    }

    @discardableResult
    mutating func requestCancelAll(on descriptor: Descriptor? = nil) -> Int {
        let all = waits
        for token in all { requestCancel(token) }
        return all.count
    }

    /// Waits only if there is nothing to do.
    mutating func turn(until deadline: Nanoseconds = 0) {
        let all = staged
        staged = []
        for token in all { complete(token, 0) }
        let engine = engine.takeUnretainedValue()
        if ready.isEmpty, deadline > 0 {
            if let armed = engine.armedFor {
                _ = Kernel.futexWait(engine.waker.word, while: armed, until: deadline)
                engine.armedFor = nil
            }
        }
        if engine.armedFor == nil {
            engine.armedFor = engine.waker.word.pointee.load(ordering: .sequentiallyConsistent)
        }
        // What the loop's thread knows of earlier rounds is in the queue alone.
        let counts = [waits.count, ready.count, Int(stagedCount), Int(drainedCount)]
        Execution.current?.forget(counts.reduce(UInt64(engine.armedFor ?? 0)) { mixed($0, UInt64($1)) })
    }

    mutating func drain(into deliveries: UnsafeMutableBufferPointer<Delivery>) -> Int {
        let count = ready.count
        for (index, delivery) in ready.enumerated() {
            deliveries[index] = delivery
            table.release(delivery.completion.token)
        }
        ready = []
        drainedCount += UInt(count)
        return count
    }

    func wake() {
        let engine = engine.takeUnretainedValue()
        let execution = Execution.current.unsafelyUnwrapped
        execution.check(!engine.isGone, "use after free: the engine of a wake-up is gone")
        engine.waker.wake()
        execution.check(!engine.isGone, "use after free: the engine ended during a wake-up")
    }
}

extension Operation {
    /// No scenario has one.
    var isWholeWrite: Bool { false }
}

extension Loop {
    static func start(
        _ kind: EngineKind, _ configuration: EngineConfiguration, _ client: Client
    ) throws(EngineFailure) -> Loop<Client> {
        throw EngineFailure(engine: kind, step: .thread, errno: ENOSYS)
    }
}

/// Takes the place of the descriptors by which older kernels wake an engine, which these scenarios do not use.
public struct MarkedTimer {
    let number: Int32
    let mark: UInt64
    var isOurs: Bool { true }
    func signal() -> Bool { true }
}

enum OwnedEpoll {
    static func ask(_ epoll: Int32, _ timer: MarkedTimer) -> Bool { true }
}

/// Takes the place of a ring with a table of registered files.
struct Ring: ~Copyable {
    let descriptor: Int32 = 0
    func register(_ operation: UInt32, _ argument: UnsafeMutableRawPointer, _ count: Int) -> Int { 0 }
}
