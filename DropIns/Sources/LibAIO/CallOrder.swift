internal import AIOCore
internal import CDropIns
internal import DropInSupport
internal import Synchronization

/// Operations that have to be carried out one after the other, in the order in which they were submitted: what a stream
/// takes, what it gives, and what goes to the end of a file. The kernel's own Linux AIO does them one by one within
/// io_submit, from whichever context.
///
/// By descriptor, file and direction, appends by the file alone; the operations of a lane are linked through their
/// records. Its lock is taken after a context's, never before.
struct CallOrder: ~Copyable {
    typealias RecordPointer = UnsafeMutablePointer<Record>
    fileprivate typealias LanePointer = UnsafeMutablePointer<Lane>

    /// A record's place.
    struct Place: BitwiseCopyable {
        fileprivate var lane: LanePointer?
        fileprivate var previous: RecordPointer?
        fileprivate var next: RecordPointer?
        fileprivate var isWaiting = false

        var isInLane: Bool { lane != nil }
    }

    /// What the operations of a lane have in common.
    struct Name: BitwiseCopyable, Equatable {
        /// -1 for writes to the end of a file, which is the same by whatever descriptor.
        var descriptor: Int32
        var file: FileIdentity
        var isWrite: Bool
    }

    fileprivate struct Lane: BitwiseCopyable {
        var name: Name
        /// The one that runs, and those that wait behind it.
        var first: RecordPointer?
        var last: RecordPointer?
        /// The next in its bucket, or the next free one.
        var next: LanePointer?
    }

    private let lock = Lock()
    private let buckets: UnsafeMutablePointer<LanePointer?>
    private let free: UnsafeMutablePointer<LanePointer?>
    /// Lanes with operations in them. Changes under the lock.
    private let laneCount = Atomic<Int>(0)

    private static var bucketCount: Int { 256 }

    init() {
        buckets = .allocate(capacity: Self.bucketCount)
        buckets.initialize(repeating: nil, count: Self.bucketCount)
        free = .allocate(capacity: 1)
        free.initialize(to: nil)
    }

    enum Entering { case runs, waits, noMemory }

    /// Whether no lane has operations. Relaxed: a thread sees what it has put there itself, and others have no order.
    var isEmpty: Bool { laneCount.load(ordering: .relaxed) == 0 }

    /// Whether a record would have to wait behind others.
    borrowing func isBusy(_ name: Name) -> Bool {
        guard !isEmpty else { return false }
        lock.lock()
        defer { lock.unlock() }
        return find(name) != nil
    }

    /// Puts a record behind those that came before it. One that waits is given out by `leave` of the one before it.
    borrowing func enter(_ record: RecordPointer, _ name: Name) -> Entering {
        lock.lock()
        defer { lock.unlock() }
        guard let lane = find(name) ?? make(name) else { return .noMemory }
        let isWaiting = lane.pointee.first != nil
        record.pointee.order = Place(lane: lane, previous: lane.pointee.last, next: nil, isWaiting: isWaiting)
        if let last = lane.pointee.last { last.pointee.order.next = record } else { lane.pointee.first = record }
        lane.pointee.last = record
        return isWaiting ? .waits : .runs
    }

    /// The one that ran is done. Returns the one whose turn it is now.
    borrowing func leave(_ record: RecordPointer) -> RecordPointer? {
        lock.lock()
        defer { lock.unlock() }
        guard let lane = record.pointee.order.lane else { return nil }
        remove(record, lane)
        guard let next = lane.pointee.first else { return nil }
        next.pointee.order.isWaiting = false
        return next
    }

    /// Takes out one that waits. False if it does not: its turn has come.
    borrowing func withdraw(_ record: RecordPointer) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        guard record.pointee.order.isWaiting, let lane = record.pointee.order.lane else { return false }
        remove(record, lane)
        return true
    }

    /// Under the lock.
    private borrowing func remove(_ record: RecordPointer, _ lane: LanePointer) {
        let place = record.pointee.order
        record.pointee.order = Place()
        if let next = place.next {
            next.pointee.order.previous = place.previous
        } else {
            lane.pointee.last = place.previous
        }
        if let previous = place.previous {
            previous.pointee.order.next = place.next
        } else {
            lane.pointee.first = place.next
        }
        if lane.pointee.first == nil { drop(lane) }
    }

    private borrowing func find(_ name: Name) -> LanePointer? {
        var lane = buckets[Self.bucket(name)]
        while let candidate = lane, candidate.pointee.name != name { lane = candidate.pointee.next }
        return lane
    }

    private borrowing func make(_ name: Name) -> LanePointer? {
        let lane: LanePointer
        if let known = free.pointee {
            free.pointee = known.pointee.next
            lane = known
        } else {
            guard let memory = malloc(MemoryLayout<Lane>.stride) else { return nil }
            lane = memory.bindMemory(to: Lane.self, capacity: 1)
        }
        let bucket = Self.bucket(name)
        lane.initialize(to: Lane(name: name, first: nil, last: nil, next: buckets[bucket]))
        buckets[bucket] = lane
        laneCount.wrappingAdd(1, ordering: .relaxed)
        return lane
    }

    private borrowing func drop(_ lane: LanePointer) {
        let bucket = Self.bucket(lane.pointee.name)
        if buckets[bucket] == lane {
            buckets[bucket] = lane.pointee.next
        } else {
            var before = buckets[bucket]
            while let candidate = before, candidate.pointee.next != lane { before = candidate.pointee.next }
            before?.pointee.next = lane.pointee.next
        }
        lane.pointee.next = free.pointee
        free.pointee = lane
        laneCount.wrappingSubtract(1, ordering: .relaxed)
    }

    private static func bucket(_ name: Name) -> Int {
        let number = Int(UInt32(bitPattern: name.descriptor)) &+ Int(truncatingIfNeeded: name.file.inode)
        return (number &* 2 &+ (name.isWrite ? 1 : 0)) & (bucketCount - 1)
    }
}
