internal import Synchronization

/// How often values fell into each of a fixed number of ranges: small values exactly, every power of two above in 32
/// parts, so that what a percentile says is within 1.6 % of the value there.
///
/// A histogram of our own, because a drop-in library can use no package and must not allocate; the memory is the
/// caller's, zero at first. Any number of threads record at the same time.
///
/// All orderings are relaxed: every cell is a sum, or a maximum, of its own, nothing else is published through it, and
/// who reads while others record gets some of what they record.
struct Histogram: BitwiseCopyable {
    typealias Cell = Atomic<UInt64>

    /// The greatest value, then the sum, then the buckets.
    private let cells: UnsafeMutablePointer<Cell>

    /// Values from 2^42 ns (73 minutes) on share the last bucket.
    static var bucketCount: Int { (41 - 5) * 32 + 64 }
    static var cellCount: Int { 2 + bucketCount }

    init(_ cells: UnsafeMutablePointer<Cell>) { self.cells = cells }

    func record(_ value: UInt64) {
        cells[2 + Self.bucket(of: value)].wrappingAdd(1, ordering: .relaxed)
        cells[1].wrappingAdd(value, ordering: .relaxed)
        cells[0].raise(to: value)
    }

    var greatest: UInt64 { cells[0].load(ordering: .relaxed) }
    var sum: UInt64 { cells[1].load(ordering: .relaxed) }

    var count: UInt64 {
        var count: UInt64 = 0
        for bucket in 0..<Self.bucketCount { count &+= cells[2 + bucket].load(ordering: .relaxed) }
        return count
    }

    /// The value that so many thousandths of all values are not above: the middle of its bucket, or the greatest
    /// value if that is less. 0 if there are none.
    func percentile(perMille: UInt64) -> UInt64 {
        let count = count
        guard count > 0 else { return 0 }
        // Counts stay far below 2^54: at a million a second they take 500 years to get there.
        var left = max((count * perMille + 999) / 1000, 1)
        for bucket in 0..<Self.bucketCount {
            let here = cells[2 + bucket].load(ordering: .relaxed)
            if here >= left { return min(Self.middle(of: bucket), greatest) }
            left -= here
        }
        // Others counted meanwhile, in buckets that were already passed.
        return greatest
    }

    /// Below 64 the value itself; above, its power of two and the five bits that follow the leading one.
    @inline(__always)
    static func bucket(of value: UInt64) -> Int {
        guard value >= 64 else { return Int(truncatingIfNeeded: value) }
        let shift = 58 - value.leadingZeroBitCount
        return min(shift * 32 + Int(truncatingIfNeeded: value >> UInt64(shift)), bucketCount - 1)
    }

    static func middle(of bucket: Int) -> UInt64 {
        guard bucket >= 64 else { return UInt64(bucket) }
        let shift = UInt64(bucket / 32 - 1)
        return UInt64(bucket % 32 + 32) << shift + 1 << shift / 2
    }
}

extension Atomic<UInt64> {
    /// Makes it at least `value`. Mostly it is: then this costs a load. (Also, `max` of Swift 6.3 compares as if signed.)
    @inline(__always)
    func raise(to value: UInt64) {
        var present = load(ordering: .relaxed)
        while present < value {
            let (exchanged, original) = weakCompareExchange(expected: present, desired: value, ordering: .relaxed)
            if exchanged { return }
            present = original
        }
    }
}
