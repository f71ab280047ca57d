internal import AIOCore
internal import CDropIns
internal import DropInSupport
internal import Synchronization

typealias RequestPointer = UnsafeMutablePointer<Request>

/// What the library keeps of an operation that did not complete in the call.
struct Request: CarriedOperation, Pooled {
    /// The memory of `watch`: first, and only ever used as that.
    private var watchStorage = (UInt(0), UInt64(0), UInt64(0))
    /// Its number in the pool, for good.
    let index: Int32
    var operation = Operation.nop
    var carriage = Carriage<Request>()
    /// The program's, until the result is published.
    var block: UnsafeMutablePointer<aiocb>?
    /// A copy: the program may free its own as soon as it sees the result.
    var notification = Notification.none
    /// The list that it is an entry of.
    var list: UnsafeMutablePointer<RequestList>?
    /// Whether it may wait for as long as it pleases somebody else: then a loop of its own carries it.
    var mayWaitForEver = false
    /// Whether the descriptor of the operation is the loop's hold of the file.
    var isHeld = false
    var place = Place()
    var account = OperationAccount()
    /// How it ended: a count or a negative error.
    var result = 0
    var nextFree: RequestPointer?

    var isWrite: Bool {
        if case .write = operation { true } else { false }
    }

    private init(index: Int32) { self.index = index }

    /// Lets go of the file: before the program hears of the end.
    mutating func letGo(_ library: Library) {
        guard isHeld, let descriptor = operation.descriptor else { return }
        isHeld = false
        library.carrier(mayWaitForEver: mayWaitForEver)?.release(descriptor)
    }

    static func initialize(_ place: RequestPointer, index: Int32) { place.initialize(to: Request(index: index)) }

    /// On a loop's thread.
    static func deliver(_ deliveries: UnsafeBufferPointer<Delivery>) {
        // There is one: it made the loop.
        guard let library = Library.existing() else { return }
        library.complete(deliveries)
    }
}

/// The part of a request that others read without a lock: a signal handler among them.
struct Watch: ~Copyable {
    /// The control block that it is for.
    let block: Atomic<UInt>
    /// Its number in the order of all requests.
    let sequence: Atomic<UInt64>
    /// Who waits for it: a bit a place in `Suspension`.
    let waiters: Atomic<UInt64>
}

extension RequestPointer {
    @inline(__always)
    var watch: UnsafeMutablePointer<Watch> { UnsafeMutableRawPointer(self).assumingMemoryBound(to: Watch.self) }
}
