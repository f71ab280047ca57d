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
    var isInFlight = false
    /// The next record that is free.
    var nextFree: UnsafeMutablePointer<Record>?

    init(_ context: Context) { self.context = context }

    var isPoll: Bool {
        if case .poll = operation { true } else { false }
    }

    /// On the loop's thread. What completed together in one context is published together.
    static func deliver(_ deliveries: UnsafeBufferPointer<Delivery>) {
        var start = 0
        while start < deliveries.count, let context = record(of: deliveries[start])?.pointee.context {
            var end = start + 1
            while end < deliveries.count, record(of: deliveries[end])?.pointee.context == context { end += 1 }
            context.complete(UnsafeBufferPointer(rebasing: deliveries[start..<end]))
            start = end
        }
    }

    static func record(of delivery: Delivery) -> UnsafeMutablePointer<Record>? {
        UnsafeMutablePointer(bitPattern: delivery.context)
    }
}
