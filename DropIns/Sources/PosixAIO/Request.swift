internal import AIOCore
internal import CDropIns
internal import DropInSupport
internal import Synchronization

typealias RequestPointer = UnsafeMutablePointer<Request>

/// An operation that did not complete in the call.
struct Request: CarriedOperation, Pooled {
    /// The memory of `watch`. It must be the first field and is accessed through `watch` only.
    private var watchStorage = (UInt(0), UInt64(0), UInt64(0))
    /// The index in the pool, which never changes.
    let index: Int32
    var operation = Operation.nop
    var carriage = Carriage<Request>()
    /// The program's control block, until the result is published.
    var block: UnsafeMutablePointer<aiocb>?
    /// A copy, since the program may free its block as soon as it sees the result.
    var notification = Notification.none
    /// The list that it is an entry of.
    var list: UnsafeMutablePointer<RequestList>?
    /// Whether it may wait for ever for another party. A loop of its own carries such requests.
    var mayWaitForEver = false
    /// Whether the operation's descriptor is a hold of the file.
    var isHeld = false
    var place = Place()
    var account = OperationAccount()
    /// The result: a count or a negative error.
    var result = 0
    var nextFree: RequestPointer?

    var isWrite: Bool { operation.isWrite }

    private init(index: Int32) { self.index = index }

    /// Releases the hold of the file, before the program learns of the end.
    mutating func letGo(_ library: Library) {
        guard isHeld, let descriptor = operation.descriptor else { return }
        isHeld = false
        assert(library.isRunning(mayWaitForEver: mayWaitForEver), "a file is held without a loop")
        library.carrier(mayWaitForEver: mayWaitForEver)?.release(descriptor)
    }

    static func initialize(_ place: RequestPointer, index: Int32) { place.initialize(to: Request(index: index)) }

    /// Called on a loop's thread, or a worker's.
    static func deliver(_ deliveries: UnsafeBufferPointer<Delivery>) {
        // It exists, since it has started the loop.
        guard let library = Library.existing() else { return }
        library.complete(deliveries)
    }
}

/// The part of a request that is read without the lock, also by signal handlers.
struct Watch: ~Copyable {
    /// The address of the control block.
    let block: Atomic<UInt>
    /// The position in the order of all requests.
    let sequence: Atomic<UInt64>
    /// The places of the threads that wait for it: one bit for each place of `Suspension`.
    let waiters: Atomic<UInt64>
}

extension RequestPointer {
    @inline(__always)
    var watch: UnsafeMutablePointer<Watch> { UnsafeMutableRawPointer(self).assumingMemoryBound(to: Watch.self) }
}
