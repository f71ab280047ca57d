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
    /// The library's duplicate of the eventfd to signal; -1 for none.
    var event: Int32 = -1
    /// A copy of the iovecs, since the program may change its own.
    var vectors: UnsafeMutablePointer<iovec>?
    /// Whether it can be cancelled without losing data: polls, and operations that wait on a stream.
    var isCancellable = false
    var isCancelRequested = false
    /// Whether the loop has it. If not, its turn has not come yet.
    var isCarried = false
    var isInFlight = false
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

    var isPoll: Bool {
        if case .poll = operation { true } else { false }
    }

    /// The result of the whole operation, given that of its rest. Bytes written before an error make it a success.
    func whole(_ result: Int32) -> Int32 {
        progress > 0 ? progress &+ max(result, 0) : result
    }

    /// Notes that `count` bytes were written in the call.
    mutating func takeOff(_ count: Int, leaving rest: Operation) {
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
        Library.shared()?.pointee.runningLoop()?.release(descriptor)
    }

    /// Called on the loop's thread, or a worker's. Completions of one context that arrive together are published
    /// together.
    static func deliver(_ deliveries: UnsafeBufferPointer<Delivery>) {
        var start = 0
        while start < deliveries.count, let first = record(of: deliveries[start]) {
            let context = first.pointee.context
            var end = start + 1
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
