internal import CKernel

/// The record locks of one file that belong to open file descriptions (F_OFD_SETLK in fcntl(2)).
final class RecordLocks {
    struct Lock {
        let owner: FileDescription
        let isExclusive: Bool
        /// The last byte is Int64.max for "to the end, however far that is".
        let range: ClosedRange<Int64>

        func part(_ range: ClosedRange<Int64>) -> Lock { Lock(owner: owner, isExclusive: isExclusive, range: range) }
    }

    private var locks: [Lock] = []

    /// The first lock of another description that a lock would conflict with.
    func conflict(_ owner: FileDescription, exclusive: Bool, _ range: ClosedRange<Int64>) -> Lock? {
        locks.first { $0.owner !== owner && ($0.isExclusive || exclusive) && $0.range.overlaps(range) }
    }

    func own(_ owner: FileDescription, _ range: ClosedRange<Int64>) -> Lock? {
        locks.first { $0.owner === owner && $0.range.overlaps(range) }
    }

    /// Sets the lock of a range, or with nil removes it; the owner's other locks keep the rest of their ranges.
    func set(_ owner: FileDescription, exclusive: Bool?, _ range: ClosedRange<Int64>) {
        var rest: [Lock] = []
        for lock in locks {
            guard lock.owner === owner, lock.range.overlaps(range) else {
                rest.append(lock)
                continue
            }
            if lock.range.lowerBound < range.lowerBound {
                rest.append(lock.part(lock.range.lowerBound...range.lowerBound - 1))
            }
            if lock.range.upperBound > range.upperBound {
                rest.append(lock.part(range.upperBound + 1...lock.range.upperBound))
            }
        }
        if let exclusive { rest.append(Lock(owner: owner, isExclusive: exclusive, range: range)) }
        locks = rest
        for description in waiting { description.readinessChanged() }
    }

    /// The descriptions that wait for a lock.
    private var waiting: [FileDescription] = []

    func wait(_ owner: FileDescription) {
        if !waiting.contains(where: { $0 === owner }) { waiting.append(owner) }
    }

    func stopWaiting(_ owner: FileDescription) { waiting.removeAll { $0 === owner } }

    /// A description is closed.
    func release(_ owner: FileDescription) {
        stopWaiting(owner)
        guard locks.contains(where: { $0.owner === owner }) else { return }
        set(owner, exclusive: nil, 0...Int64.max)
    }
}
