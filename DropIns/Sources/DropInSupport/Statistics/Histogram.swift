internal import Synchronization

/// Counts of values in a fixed number of buckets. Small values have a bucket each, and every larger power of two is
/// divided into 32, so that a percentile is accurate to 1.6 %.
///
/// It exists because a drop-in library cannot use a package and must not allocate. The caller provides the memory,
/// zeroed. Any number of threads record at the same time.
///
/// All orderings are relaxed: each cell is an independent sum or maximum, and nothing else is published through it. A
/// reader that runs concurrently sees some of what is being recorded.
struct Histogram: BitwiseCopyable {
    typealias Cell = Atomic<UInt64>

    /// The greatest value, then the sum, then the buckets.
    private let cells: UnsafeMutablePointer<Cell>

    /// Values of 2^42 ns (73 minutes) and more share the last bucket.
    static var bucketCount: Int { (41 - 5) * 32 + 64 }
    static var cellCount: Int { 2 + bucketCount }

    init(_ cells: UnsafeMutablePointer<Cell>) { self.cells = cells }

    func record(_ value: UInt64) {
        let bucket = Self.bucket(of: value)
        assert((0..<Self.bucketCount).contains(bucket), "a bucket outside of the histogram")
        cells[2 + bucket].wrappingAdd(1, ordering: .relaxed)
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

    /// The smallest value that at least this many thousandths of all values do not exceed: the middle of its bucket, or
    /// the greatest value if that is less. 0 if there are none.
    func percentile(perMille: UInt64) -> UInt64 {
        let count = count
        guard count > 0 else { return 0 }
        // Counts stay far below 2^54: at a million per second they take 500 years to reach it.
        var left = max((count * perMille + 999) / 1000, 1)
        for bucket in 0..<Self.bucketCount {
            let here = cells[2 + bucket].load(ordering: .relaxed)
            if here >= left { return min(Self.middle(of: bucket), greatest) }
            left -= here
        }
        // Other threads have recorded meanwhile, in buckets already passed.
        return greatest
    }

    /// Below 64, the value itself. Above, its power of two and the five bits after the leading one.
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
    /// Raises the cell to at least `value`. Mostly it is already, which costs a load. (`max` of Swift 6.3 compares as
    /// signed.)
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
