internal import AIOCore
internal import CKernel
internal import DropInSupport

/// What a context keeps of an operation from its submission to its event.
struct Record: CarriedOperation {
    let context: Context
    var operation = Operation.nop
    var carriage = Carriage<Record>()
    /// The program's: `data` of the control block, and the block's address.
    var data: UInt64 = 0
    var block: UInt = 0
    /// The eventfd to be signalled, ours; -1 for none.
    var event: Int32 = -1
    /// A copy of the iovecs: the program may change its own.
    var vectors: UnsafeMutablePointer<iovec>?
    /// Whether its end can be asked for without losing anything: polls, and what waits on a stream.
    var isCancellable = false
    var isCancelRequested = false
    /// Whether the loop has it; else its turn has not come yet.
    var isCarried = false
    var isInFlight = false
    /// A buffered write with a worker.
    var isQuick = false
    /// A read or write.
    var isTransfer = false
    var place = WriteOrder.Place()
    var order = CallOrder.Place()
    /// Whether the descriptor of the operation is the loop's hold of the file.
    var isHeld = false
    /// What was written in the call already.
    var progress: Int32 = 0
    /// The context's ticker instead of an operation of the program's.
    var isTick = false
    /// For the statistics.
    var account = OperationAccount()
    /// The next record that is free; or whose turn has come.
    var nextFree: UnsafeMutablePointer<Record>?

    init(_ context: Context) { self.context = context }

    var isPoll: Bool {
        if case .poll = operation { true } else { false }
    }

    /// The result of the whole operation, whose rest has come to this: what was written before an error is a success.
    func whole(_ result: Int32) -> Int32 {
        progress > 0 ? progress &+ max(result, 0) : result
    }

    /// So much is written of it in the call.
    mutating func takeOff(_ count: Int, leaving rest: Operation) {
        operation = rest
        progress += Int32(truncatingIfNeeded: count)
    }

    /// From here on the operation's file is held, whatever becomes of its number. False if it is closed already.
    mutating func hold(_ file: FileIdentity, _ loop: Carrier<Record>) -> Bool {
        guard !isHeld else { return true }
        switch loop.hold(operation, file) {
        case .held(let held):
            operation = operation.on(held)
            isHeld = true
        case .noPlace: break
        case .notOpen: return false
        }
        return true
    }

    /// Lets go of the file: before the program hears of the end.
    mutating func letGo() {
        guard isHeld, let descriptor = operation.descriptor else { return }
        isHeld = false
        Library.shared()?.pointee.runningLoop()?.release(descriptor)
    }

    /// On the loop's thread. What completed together in one context is published together.
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
