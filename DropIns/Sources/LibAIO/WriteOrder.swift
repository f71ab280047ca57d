internal import AIOCore

/// Makes a sync wait for the buffered writes that were submitted before it. The kernel's own Linux AIO has done those
/// when io_submit returns, so that its sync covers them, and programs may rely on it.
///
/// Used under the context's lock. The lists are linked through the records.
struct WriteOrder: BitwiseCopyable {
    typealias Pointer = UnsafeMutablePointer<Record>

    /// Writes in flight, oldest first.
    private var oldest: Pointer?
    private var newest: Pointer?
    /// Syncs that wait for some of them, oldest first.
    private var firstSync: Pointer?
    private var lastSync: Pointer?
    private var nextTicket: UInt64 = 0

    /// A record's position.
    struct Place: BitwiseCopyable {
        fileprivate var ticket: UInt64 = 0
        fileprivate var next: Pointer?
        fileprivate var previous: Pointer?
    }

    var hasWrites: Bool { oldest != nil }

    mutating func begin(write record: Pointer) {
        assert(newest != record, "the write has begun already")
        record.pointee.place = Place(ticket: takeTicket(), next: nil, previous: newest)
        if let newest { newest.pointee.place.next = record } else { oldest = record }
        newest = record
    }

    mutating func end(write record: Pointer) {
        let place = record.pointee.place
        assert((place.previous == nil) == (oldest == record), "the write is not in the list")
        assert((place.next == nil) == (newest == record), "the write is not in the list")
        if let next = place.next { next.pointee.place.previous = place.previous } else { newest = place.previous }
        if let previous = place.previous { previous.pointee.place.next = place.next } else { oldest = place.next }
    }

    /// Makes a sync wait for the writes before it. False if there are none.
    mutating func wait(sync record: Pointer) -> Bool {
        guard hasWrites else { return false }
        assert(lastSync != record, "the sync waits already")
        record.pointee.place = Place(ticket: takeTicket(), next: nil, previous: nil)
        if let lastSync { lastSync.pointee.place.next = record } else { firstSync = record }
        lastSync = record
        return true
    }

    /// Whether there is a sync whose writes have all ended.
    var hasReadySync: Bool {
        guard let sync = firstSync else { return false }
        return oldest.map { $0.pointee.place.ticket > sync.pointee.place.ticket } ?? true
    }

    /// Removes that sync from the list.
    mutating func popReadySync() -> Pointer? {
        guard hasReadySync, let sync = firstSync else { return nil }
        assert((sync.pointee.place.next == nil) == (lastSync == sync), "the list of syncs does not end with its last")
        firstSync = sync.pointee.place.next
        if firstSync == nil { lastSync = nil }
        return sync
    }

    private mutating func takeTicket() -> UInt64 {
        nextTicket += 1
        return nextTicket
    }
}
