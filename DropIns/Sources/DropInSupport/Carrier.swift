public import AIOCore
internal import CDropIns
internal import Synchronization

/// What a drop-in library keeps of an operation in flight.
public protocol CarriedOperation {
    var operation: Operation { get }
    /// The carrier's own fields.
    var carriage: Carriage<Self> { get set }

    /// Called on the loop's thread, or a worker's, with completed operations, oldest first. The context of each is the
    /// address of its record, which belongs to the library again.
    static func deliver(_ deliveries: UnsafeBufferPointer<Delivery>)
}

/// The carrier's fields in a record.
public struct Carriage<Record> {
    /// The token of the operation once the loop has it.
    fileprivate var token = Token(rawValue: 0)
    fileprivate var isWaiting = false
    fileprivate var next: UnsafeMutablePointer<Record>?

    public init() {}
}

/// The loop that carries out a library's operations. It lives as long as the process.
///
/// The loop's in-flight table is limited, and programs may submit more than it holds. Further operations wait in a
/// list, in order. The list is linked through the records, so their number bounds it.
public final class Carrier<Record: CarriedOperation>: LoopClient, @unchecked Sendable {
    // @unchecked: `loop` and `workers` are written before the carrier is shared; the list is used under `lock`.

    public typealias RecordPointer = UnsafeMutablePointer<Record>

    private var loop: Loop<Carrier>?
    /// For operations that the loop would only pass on to a worker.
    private var workers: WorkerQueue<Carrier>?
    private let duplicates = DuplicateFileHolds()
    private let lock = Lock()
    private var first: RecordPointer?
    private var last: RecordPointer?
    private let waitingCount = Atomic<Int>(0)

    private init() {}

    /// Starts the loop's thread.
    public static func start(_ engine: EngineKind, queueDepth: Int = 1024) throws(EngineFailure) -> Carrier {
        let carrier = Carrier()
        var configuration = EngineConfiguration(queueDepth: queueDepth, workerLimit: 64)
        configuration.isGuest = true
        carrier.loop = try Loop.start(engine, configuration, carrier)
        drop_in_starts_threads()
        carrier.workers = WorkerQueue(capacity: queueDepth, limit: 64, carrier)
        return carrier
    }

    public var engine: EngineKind { loop?.engineKind ?? .threads }

    /// Whether the kernel supports RWF_NOAPPEND.
    public var knowsNoAppend: Bool { duplicates.knowsNoAppend }

    /// Whether the caller is on the loop's thread.
    public var isCurrent: Bool { loop?.isCurrent ?? false }

    // MARK: Any thread

    /// Whether the caller shares its descriptor table with the library's threads. It does not after
    /// unshare(CLONE_FILES).
    public var knowsCallersFiles: Bool {
        guard drop_in_has_own_files() else { return true }
        return loop?.sharesCallersFiles ?? false
    }

    /// Joins the hold that other operations have on a file or block device. nil if this number has none.
    public func join(_ number: Int32) -> (descriptor: Descriptor, file: FileIdentity)? {
        duplicates.join(number)
    }

    /// Holds the open file of an operation that is about to be accepted, until `release`, so that the operation reaches
    /// this file whatever happens to the number. Without a place for a hold the operation keeps its number. False if
    /// the number has been closed.
    public func hold(_ operation: inout Operation, _ file: FileIdentity, isHeld: inout Bool) -> Bool {
        guard !isHeld else { return true }
        switch hold(operation, file) {
        case .held(let held):
            operation = operation.on(held)
            isHeld = true
        case .noPlace: break
        case .notOpen: return false
        }
        return true
    }

    private func hold(_ operation: Operation, _ file: FileIdentity) -> FileHolds.Outcome {
        guard let descriptor = operation.descriptor else { return .noPlace }
        let isFile = descriptor.kind == .buffered || descriptor.kind == .direct
        if isFile, duplicates.canShare || operation.isBufferedWrite { return duplicates.hold(descriptor, file) }
        // A character device: the call may have to be made on a descriptor number.
        if descriptor.kind == .stream, descriptor.backing != .device { return duplicates.hold(descriptor) }
        switch loop?.holds?.hold(descriptor) ?? .noPlace {
        // The ring has fewer slots for files than there may be operations that wait for their turn.
        case .noPlace: return duplicates.hold(descriptor)
        case let outcome: return outcome
        }
    }

    /// Releases what `hold` has held. Called when the operation has completed, before the program learns of it.
    public func release(_ descriptor: Descriptor) {
        assert(descriptor.isRegistered || !GuestNumbers.isBelow(descriptor.number), "the program's number is closed")
        if descriptor.isRegistered { loop?.holds?.release(descriptor) } else { duplicates.release(descriptor) }
    }

    /// Accepts an operation. The record must not move until it is delivered.
    ///
    /// Buffered writes go directly to a worker. Most file systems do not support writes without waiting, so that the
    /// ring, or the loop, would only pass them one by one to a worker of its own.
    public func carry(_ record: RecordPointer) {
        if let workers, workers.carry(record.pointee.operation, context: UInt(bitPattern: record)) { return }
        // Relaxed: an operation that races with another that begins to wait may overtake it.
        if waitingCount.load(ordering: .relaxed) > 0 || !stage(record) { wait(record) }
    }

    /// Requests the cancellation of an operation that was accepted and whose record has not been reused.
    ///
    /// Returns true if it was still waiting for a slot: it is withdrawn and will not be delivered. Otherwise its
    /// completion tells how it ended.
    public func requestCancel(_ record: RecordPointer) -> Bool {
        lock.lock()
        let isWithdrawn = withdraw(record)
        let token = record.pointee.carriage.token
        lock.unlock()
        if !isWithdrawn { loop?.requestCancel(token) }
        return isWithdrawn
    }

    /// Withdraws an operation that still waits for a slot. Returns true if it did; then it will not be delivered.
    public func withdrawWaiting(_ record: RecordPointer) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        return withdraw(record)
    }

    private func stage(_ record: RecordPointer) -> Bool {
        guard let loop else { return false }
        let context = UInt(bitPattern: record)
        guard let token = loop.prepare(record.pointee.operation, context: context, deadline: .never) else {
            return false
        }
        record.pointee.carriage.token = token
        loop.stage(token)
        return true
    }

    // MARK: Waiting for a slot

    private func wait(_ record: RecordPointer) {
        lock.lock()
        assert(!record.pointee.carriage.isWaiting, "the operation waits for a slot already")
        record.pointee.carriage.next = nil
        record.pointee.carriage.isWaiting = true
        if let last { last.pointee.carriage.next = record } else { first = record }
        last = record
        waitingCount.wrappingAdd(1, ordering: .relaxed)
        // Against a lost wake-up, since no completion may follow: this thread counts the record in and then looks for a
        // free slot; `deliver` frees slots and then looks at the count. With both fences at least one sees the other.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        stageWaiting()
        lock.unlock()
    }

    /// Under the lock.
    private func stageWaiting() {
        assert(lock.isHeld)
        while let record = first {
            assert(record.pointee.carriage.isWaiting, "an operation in the list does not wait")
            let next = record.pointee.carriage.next
            // Before staging, since the operation may complete at any time afterwards.
            record.pointee.carriage.isWaiting = false
            guard stage(record) else {
                record.pointee.carriage.isWaiting = true
                return
            }
            first = next
            if next == nil { last = nil }
            noteWaitingEnd()
        }
    }

    /// Under the lock.
    private func withdraw(_ record: RecordPointer) -> Bool {
        assert(lock.isHeld)
        guard record.pointee.carriage.isWaiting else { return false }
        var before: RecordPointer?
        var current = first
        while let candidate = current, candidate != record {
            before = candidate
            current = candidate.pointee.carriage.next
        }
        assert(current == record, "an operation that waits is not in the list")
        let next = record.pointee.carriage.next
        if let before { before.pointee.carriage.next = next } else { first = next }
        if last == record { last = before }
        record.pointee.carriage.isWaiting = false
        noteWaitingEnd()
        return true
    }

    /// Under the lock: counts out an operation that has left the list.
    private func noteWaitingEnd() {
        let left = waitingCount.wrappingSubtract(1, ordering: .relaxed).newValue
        assert(left >= 0 && (left == 0) == (first == nil), "the list has another length than its count")
    }

    // MARK: The loop's client

    public func deliver(_ deliveries: UnsafeBufferPointer<Delivery>) {
        Record.deliver(deliveries)
        // The delivered operations have freed their slots. The fence pairs with that of `wait`.
        atomicMemoryFence(ordering: .sequentiallyConsistent)
        guard waitingCount.load(ordering: .relaxed) > 0 else { return }
        lock.lock()
        stageWaiting()
        lock.unlock()
    }

    public func runJobs() -> Bool { false }
    public func hasJobs() -> Bool { false }
    public var nextDeadline: Nanoseconds { .never }
    public func expire(_ now: Nanoseconds) {}
    public func loopEnded() {}
}
