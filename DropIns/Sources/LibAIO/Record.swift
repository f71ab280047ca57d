internal import AIOCore
internal import CKernel
internal import DropInSupport

/// An operation, from its submission to its event.
struct Record: CarriedOperation {
    let context: Context
    var operation = Operation.nop
    var carriage = Carriage<Record>()
    /// `data` of the program's control block, and the block's address.
    var data: UInt64 = 0
    var block: UInt = 0
    /// The eventfd to signal.
    var event = Event()
    /// A copy of the iovecs, since the program may change its own.
    var vectors: UnsafeMutablePointer<iovec>?
    /// Under the context's lock.
    private(set) var state = State.free
    /// Whether it is a buffered write of a worker.
    var isQuick = false
    /// Whether it is a read or write.
    var isTransfer = false
    var place = WriteOrder.Place()
    var order = CallOrder.Place()
    /// Whether the operation's descriptor is a hold of the file.
    var isHeld = false
    /// Bytes that were already written in the call.
    var progress: Int32 = 0
    /// Whether it is the context's timer rather than an operation of the program's.
    var isTick = false
    /// For the statistics.
    var account = OperationAccount()
    /// The next free record, or the next whose turn has come.
    var nextFree: UnsafeMutablePointer<Record>?

    init(_ context: Context) { self.context = context }

    enum State: UInt8, BitwiseCopyable {
        /// In the pool.
        case free
        /// Being accepted, or in flight and not to be cancelled.
        case accepted
        /// May be cancelled without losing data: a poll, or an operation that waits on a stream. It waits for its turn
        /// in its lane.
        case waitingForTurn
        /// The same, and the loop has it.
        case cancellable
        /// A cancel was requested before the loop had it.
        case cancelledBefore
        /// A cancel was requested while the loop had it.
        case cancelRequested

        /// The permitted transitions.
        fileprivate func mayBecome(_ next: State) -> Bool {
            switch self {
            case .free: next == .accepted
            case .accepted: next == .waitingForTurn || next == .free
            case .waitingForTurn: next == .cancellable || next == .cancelledBefore
            case .cancellable: next == .cancelRequested || next == .free
            case .cancelledBefore, .cancelRequested: next == .free
            }
        }
    }

    /// Under the context's lock. The only place that changes a state.
    mutating func change(to next: State) {
        assert(context.state.pointee.lock.isHeld)
        assert(state.mayBecome(next), "not a successor of the state of the record")
        state = next
    }

    var isInFlight: Bool { state != .free }
    var isCancellable: Bool { state == .waitingForTurn || state == .cancellable }
    var isCancelRequested: Bool { state == .cancelledBefore || state == .cancelRequested }

    var isPoll: Bool {
        if case .poll = operation { true } else { false }
    }

    /// The result of the whole operation, given that of its rest. Bytes written before an error make it a success.
    func whole(_ result: Int32) -> Int32 {
        progress > 0 ? progress &+ max(result, 0) : result
    }

    /// Notes that `count` bytes were written in the call.
    mutating func takeOff(_ count: Int, leaving rest: Operation) {
        assert(count > 0 && progress == 0, "the call has written nothing, or twice")
        operation = rest
        progress += Int32(truncatingIfNeeded: count)
    }

    /// Holds the operation's file from here on, whatever happens to its number. False if the number has been closed.
    mutating func hold(_ file: FileIdentity, _ loop: Carrier<Record>) -> Bool {
        loop.hold(&operation, file, isHeld: &isHeld)
    }

    /// Releases the hold of the file, before the program learns of the end.
    mutating func letGo() {
        guard isHeld, let descriptor = operation.descriptor else { return }
        isHeld = false
        assert(Library.shared()?.pointee.runningLoop() != nil, "a file is held without a loop")
        Library.shared()?.pointee.runningLoop()?.release(descriptor)
    }

    /// Called on the loop's thread, or a worker's. Completions of one context that arrive together are published
    /// together.
    static func deliver(_ deliveries: UnsafeBufferPointer<Delivery>) {
        var start = 0
        while start < deliveries.count, let first = record(of: deliveries[start]) {
            let context = first.pointee.context
            var end = start + 1
            assert(!first.pointee.isTick || first.pointee.state == .free, "the timer is an operation of the program's")
            if first.pointee.isTick {
                context.tick()
            } else {
                while end < deliveries.count, isOfSameKind(record(of: deliveries[end]), context) { end += 1 }
                context.complete(UnsafeBufferPointer(rebasing: deliveries[start..<end]))
            }
            start = end
        }
    }

    private static func isOfSameKind(_ record: UnsafeMutablePointer<Record>?, _ context: Context) -> Bool {
        record.map { $0.pointee.context == context && !$0.pointee.isTick } ?? false
    }

    static func record(of delivery: Delivery) -> UnsafeMutablePointer<Record>? {
        UnsafeMutablePointer(bitPattern: delivery.context)
    }
}
