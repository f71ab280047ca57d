internal import AIOCore

/// Lets a sync wait for the buffered writes that were submitted before it. The kernel's own Linux AIO has done those by
/// the time that io_submit returns, so that its sync covers them; a program may count on it.
///
/// Used under the context's lock. The lists run through the records.
struct WriteOrder: BitwiseCopyable {
    typealias Pointer = UnsafeMutablePointer<Record>

    /// Writes that are not done yet, oldest first.
    private var oldest: Pointer?
    private var newest: Pointer?
    /// Syncs that wait for some of them, oldest first.
    private var firstSync: Pointer?
    private var lastSync: Pointer?
    private var nextTicket: UInt64 = 0

    /// A record's place in it.
    struct Place: BitwiseCopyable {
        fileprivate var ticket: UInt64 = 0
        fileprivate var next: Pointer?
        fileprivate var previous: Pointer?
    }

    var hasWrites: Bool { oldest != nil }

    mutating func begin(write record: Pointer) {
        record.pointee.place = Place(ticket: takeTicket(), next: nil, previous: newest)
        if let newest { newest.pointee.place.next = record } else { oldest = record }
        newest = record
    }

    mutating func end(write record: Pointer) {
        let place = record.pointee.place
        if let next = place.next { next.pointee.place.previous = place.previous } else { newest = place.previous }
        if let previous = place.previous { previous.pointee.place.next = place.next } else { oldest = place.next }
    }

    /// Puts a sync behind the writes before it. False if there are none: it may go at once.
    mutating func wait(sync record: Pointer) -> Bool {
        guard hasWrites else { return false }
        record.pointee.place = Place(ticket: takeTicket(), next: nil, previous: nil)
        if let lastSync { lastSync.pointee.place.next = record } else { firstSync = record }
        lastSync = record
        return true
    }

    /// Whether there is a sync whose writes are all done.
    var hasReadySync: Bool {
        guard let sync = firstSync else { return false }
        return oldest.map { $0.pointee.place.ticket > sync.pointee.place.ticket } ?? true
    }

    /// Takes that sync out.
    mutating func popReadySync() -> Pointer? {
        guard hasReadySync, let sync = firstSync else { return nil }
        firstSync = sync.pointee.place.next
        if firstSync == nil { lastSync = nil }
        return sync
    }

    private mutating func takeTicket() -> UInt64 {
        nextTicket += 1
        return nextTicket
    }
}
