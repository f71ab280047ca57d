public import AIOCore
internal import CDropIns
internal import Synchronization

/// What a drop-in library keeps of an operation while it is carried out.
public protocol CarriedOperation {
    var operation: Operation { get }
    /// What the carrier keeps here.
    var carriage: Carriage<Self> { get set }

    /// On the loop's thread: what has completed, oldest first. The context of each is the address of its record,
    /// which is the library's again.
    static func deliver(_ deliveries: UnsafeBufferPointer<Delivery>)
}

/// A record's place with its carrier.
public struct Carriage<Record> {
    /// Names the operation once it is with the loop.
    fileprivate var token = Token(rawValue: 0)
    fileprivate var isWaiting = false
    fileprivate var next: UnsafeMutablePointer<Record>?

    public init() {}
}

/// The loop that carries a library's operations out. It lives as long as the process.
///
/// The loop's table has a limit, which the sum of what programs submit may pass: what finds no place waits in a list,
/// in order. The list runs through the records, so it is bounded by them.
public final class Carrier<Record: CarriedOperation>: LoopClient, @unchecked Sendable {
    // @unchecked: `loop` is written before the carrier is shared, the list under its lock.

    public typealias RecordPointer = UnsafeMutablePointer<Record>

    private var loop: Loop<Carrier>?
    /// For what the loop would only pass on.
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

    /// Whether the kernel knows RWF_NOAPPEND.
    public var knowsNoAppend: Bool { duplicates.knowsNoAppend }

    /// Whether the caller is the loop's thread.
    public var isCurrent: Bool { loop?.isCurrent ?? false }

    // MARK: Any thread

    /// Whether the numbers of the caller's descriptors mean the same to the library's threads: not after unshare(CLONE_FILES).
    public var knowsCallersFiles: Bool {
        guard drop_in_has_own_files() else { return true }
        return loop?.sharesCallersFiles ?? false
    }

    /// Joins the hold of a file or block device that other operations hold already. nil if there is none by this
    /// number.
    public func join(_ number: Int32) -> (descriptor: Descriptor, file: FileIdentity)? {
        duplicates.join(number)
    }

    /// Holds the open file of an operation that is about to be accepted until `release`, so that it meets that file and
    /// no other.
    public func hold(_ operation: Operation, _ file: FileIdentity) -> FileHolds.Outcome {
        guard let descriptor = operation.descriptor else { return .noPlace }
        let isFile = descriptor.kind == .buffered || descriptor.kind == .direct
        if isFile, duplicates.canShare || operation.isBufferedWrite { return duplicates.hold(descriptor, file) }
        // A character device: the call may have to be made by a number.
        if descriptor.kind == .stream, descriptor.backing != .device { return duplicates.hold(descriptor) }
        switch loop?.holds?.hold(descriptor) ?? .noPlace {
        // The ring has fewer places than there may be operations that wait for theirs.
        case .noPlace: return duplicates.hold(descriptor)
        case let outcome: return outcome
        }
    }

    /// Lets go of what `hold` holds, once the operation has completed and before the program hears of it.
    public func release(_ descriptor: Descriptor) {
        if descriptor.isRegistered { loop?.holds?.release(descriptor) } else { duplicates.release(descriptor) }
    }

    /// Accepts an operation. The record stays where it is until it is delivered.
    ///
    /// Buffered writes go to a worker straight away: most file systems know no write that does not wait, so that the
    /// ring and the loop would only pass them on, one after the other, to a worker of theirs.
    public func carry(_ record: RecordPointer) {
        if record.pointee.operation.isBufferedWrite, let workers,
            workers.carry(record.pointee.operation, context: UInt(bitPattern: record))
        {
            return
        }
        // Relaxed: who comes while another begins to wait may go first.
        if waitingCount.load(ordering: .relaxed) > 0 || !stage(record) { wait(record) }
    }

    /// Asks for an end to an operation that was accepted and whose record is not in use again.
    ///
    /// Returns true if it was still waiting for a place: it is withdrawn and will not be delivered. Otherwise its
    /// completion tells what came of it.
    public func requestCancel(_ record: RecordPointer) -> Bool {
        lock.lock()
        let isWithdrawn = withdraw(record)
        let token = record.pointee.carriage.token
        lock.unlock()
        if !isWithdrawn { loop?.requestCancel(token) }
        return isWithdrawn
    }

    /// Takes an operation back if it still waits for a place: true, and it will not be delivered.
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

    // MARK: Waiting for a place

    private func wait(_ record: RecordPointer) {
        lock.lock()
        record.pointee.carriage.next = nil
        record.pointee.carriage.isWaiting = true
        if let last { last.pointee.carriage.next = record } else { first = record }
        last = record
        waitingCount.wrappingAdd(1, ordering: .relaxed)
        // The places may have become free before it was in the list, and the loop sleep since.
        stageWaiting()
        lock.unlock()
    }

    /// With the lock.
    private func stageWaiting() {
        while let record = first {
            let next = record.pointee.carriage.next
            // Before it is staged: from then on it may complete at any time.
            record.pointee.carriage.isWaiting = false
            guard stage(record) else {
                record.pointee.carriage.isWaiting = true
                return
            }
            first = next
            if next == nil { last = nil }
            waitingCount.wrappingSubtract(1, ordering: .relaxed)
        }
    }

    /// With the lock.
    private func withdraw(_ record: RecordPointer) -> Bool {
        guard record.pointee.carriage.isWaiting else { return false }
        var before: RecordPointer?
        var current = first
        while let candidate = current, candidate != record {
            before = candidate
            current = candidate.pointee.carriage.next
        }
        let next = record.pointee.carriage.next
        if let before { before.pointee.carriage.next = next } else { first = next }
        if last == record { last = before }
        record.pointee.carriage.isWaiting = false
        waitingCount.wrappingSubtract(1, ordering: .relaxed)
        return true
    }

    // MARK: The loop's client

    public func deliver(_ deliveries: UnsafeBufferPointer<Delivery>) {
        Record.deliver(deliveries)
        // Their places are free.
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
