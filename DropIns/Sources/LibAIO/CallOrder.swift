internal import AIOCore
internal import CDropIns
internal import DropInSupport
internal import Synchronization

/// Runs operations one after the other, in the order of submission: reads of a stream, writes to a stream, and appends
/// to a file. The kernel's own Linux AIO carries them out one by one within io_submit, whatever their context.
///
/// A lane belongs to a descriptor, file and direction; for appends, to the file alone. Its operations are linked
/// through their records. The lock is acquired after a context's lock, never before it.
struct CallOrder: ~Copyable {
    typealias RecordPointer = UnsafeMutablePointer<Record>
    fileprivate typealias LanePointer = UnsafeMutablePointer<Lane>

    /// A record's position.
    struct Place: BitwiseCopyable {
        fileprivate var lane: LanePointer?
        fileprivate var previous: RecordPointer?
        fileprivate var next: RecordPointer?
        fileprivate var isWaiting = false
        /// Whether it may be carried as soon as its turn comes: see `settle`.
        fileprivate var isSettled = false

        var isInLane: Bool { lane != nil }
    }

    /// Identifies a lane.
    struct Name: BitwiseCopyable, Equatable {
        /// -1 for appends, which share a lane whatever their descriptor.
        var descriptor: Int32
        var file: FileIdentity
        var isWrite: Bool
    }

    fileprivate struct Lane: BitwiseCopyable {
        var name: Name
        /// The operation that runs, followed by those that wait.
        var first: RecordPointer?
        var last: RecordPointer?
        /// The next lane in the bucket, or in the free list.
        var next: LanePointer?
    }

    private let lock = Lock()
    private let buckets: UnsafeMutablePointer<LanePointer?>
    private let free: UnsafeMutablePointer<LanePointer?>
    /// The number of lanes in use. It changes under the lock.
    private let laneCount = Atomic<Int>(0)

    private static var bucketCount: Int { 256 }

    init() {
        buckets = .allocate(capacity: Self.bucketCount)
        buckets.initialize(repeating: nil, count: Self.bucketCount)
        free = .allocate(capacity: 1)
        free.initialize(to: nil)
    }

    enum Entering { case runs, waits, noMemory }

    /// Whether no lane has operations. Relaxed: a thread sees its own operations, and has no order with those of
    /// others.
    var isEmpty: Bool { laneCount.load(ordering: .relaxed) == 0 }

    /// Whether a record would have to wait.
    borrowing func isBusy(_ name: Name) -> Bool {
        guard !isEmpty else { return false }
        lock.lock()
        defer { lock.unlock() }
        return find(name) != nil
    }

    /// Appends a record to its lane. If it waits, the caller prepares it and then calls `settle`.
    borrowing func enter(_ record: RecordPointer, _ name: Name) -> Entering {
        lock.lock()
        defer { lock.unlock() }
        guard let lane = find(name) ?? make(name) else { return .noMemory }
        assert(!record.pointee.order.isInLane, "the operation is in a lane already")
        let isWaiting = lane.pointee.first != nil
        record.pointee.order = Place(lane: lane, previous: lane.pointee.last, next: nil, isWaiting: isWaiting)
        if let last = lane.pointee.last { last.pointee.order.next = record } else { lane.pointee.first = record }
        lane.pointee.last = record
        return isWaiting ? .waits : .runs
    }

    /// Called for a record that waits, once it is ready to be carried: from now on the `leave` of the record before it
    /// returns it. True if its turn has come meanwhile; then the caller carries it.
    borrowing func settle(_ record: RecordPointer) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        let place = record.pointee.order
        assert(place.isInLane && !place.isSettled, "the operation is in no lane, or settled already")
        record.pointee.order.isSettled = true
        return !record.pointee.order.isWaiting
    }

    /// Removes a record that ran, or that is not to run. Returns the one whose turn has come.
    borrowing func leave(_ record: RecordPointer) -> RecordPointer? {
        lock.lock()
        defer { lock.unlock() }
        guard let lane = record.pointee.order.lane else { return nil }
        let isWaiting = record.pointee.order.isWaiting
        remove(record, lane)
        // The one before it still runs.
        guard !isWaiting, let next = lane.pointee.first else { return nil }
        assert(next.pointee.order.isWaiting, "two operations of a lane run at once")
        next.pointee.order.isWaiting = false
        return next.pointee.order.isSettled ? next : nil
    }

    /// Removes a record that waits. False if its turn has come already.
    borrowing func withdraw(_ record: RecordPointer) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        guard record.pointee.order.isWaiting, let lane = record.pointee.order.lane else { return false }
        remove(record, lane)
        return true
    }

    /// Under the lock.
    private borrowing func remove(_ record: RecordPointer, _ lane: LanePointer) {
        assert(lock.isHeld)
        let place = record.pointee.order
        assert((place.previous == nil) == (lane.pointee.first == record), "the links lead out of the lane")
        assert((place.next == nil) == (lane.pointee.last == record), "the links lead out of the lane")
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
        assert(lock.isHeld)
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
        assert(find(name) == nil, "the lane exists already")
        let bucket = Self.bucket(name)
        lane.initialize(to: Lane(name: name, first: nil, last: nil, next: buckets[bucket]))
        buckets[bucket] = lane
        laneCount.wrappingAdd(1, ordering: .relaxed)
        return lane
    }

    private borrowing func drop(_ lane: LanePointer) {
        assert(find(lane.pointee.name) == lane, "the lane is in no bucket, or twice in one")
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
