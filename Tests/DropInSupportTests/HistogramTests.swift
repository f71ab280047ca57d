internal import Synchronization
import Testing
import UnitSupport

/// The drop-in libraries are a separate package in Embedded Swift. The parts of it that do not depend on that are
/// compiled into these tests as well (the files are symbolic links).
@Suite struct HistogramTests {
    @Test func everyBucketHoldsItsMiddleAndTheyFollowEachOther() {
        for bucket in 0..<Histogram.bucketCount {
            #expect(Histogram.bucket(of: Histogram.middle(of: bucket)) == bucket)
        }
        for exponent in 0..<42 as Range<UInt64> {
            let power: UInt64 = 1 << exponent
            #expect(Histogram.bucket(of: power) == Histogram.bucket(of: power - 1) + 1)
        }
    }

    @Test func theMiddleIsWithinTwoPerCentOfEveryValueInTheBucket() {
        var generator = SeededGenerator("values of a histogram")
        for _ in 0..<100_000 {
            let value = UInt64.random(in: 0..<(1 << UInt64.random(in: 1...42, using: &generator)), using: &generator)
            let middle = Histogram.middle(of: Histogram.bucket(of: value))
            let difference = value > middle ? value - middle : middle - value
            #expect(difference * 50 <= value, "\(value) is shown as \(middle)")
        }
    }

    @Test func whatIsLongerThanAnHourSharesTheLastBucketAndTheGreatestIsExact() {
        withHistogram { histogram in
            histogram.record(.max)
            histogram.record(1 << 42)
            #expect(Histogram.bucket(of: .max) == Histogram.bucketCount - 1)
            #expect(histogram.count == 2)
            #expect(histogram.greatest == .max)
        }
    }

    @Test func percentilesAreThoseOfTheSortedValues() {
        var generator = SeededGenerator("percentiles")
        withHistogram { histogram in
            // The values span orders of magnitude, as latencies do.
            let values = (0..<5000).map { _ in generator.next() >> UInt64.random(in: 30...56, using: &generator) }
            for value in values { histogram.record(value) }
            let sorted = values.sorted()
            for perMille in [1, 500, 990, 999, 1000] as [UInt64] {
                let exact = sorted[Int((5000 * perMille + 999) / 1000) - 1]
                let shown = histogram.percentile(perMille: perMille)
                #expect(abs(Double(shown) - Double(exact)) <= 0.03 * Double(exact), "\(perMille): \(shown), \(exact)")
            }
            #expect(histogram.greatest == sorted.last)
            #expect(histogram.sum == sorted.reduce(0, &+))
        }
    }

    @Test func noPercentileOfOneValueIsAboveIt() {
        withHistogram { histogram in
            histogram.record(1_000_001)
            #expect(histogram.percentile(perMille: 500) <= 1_000_001)
            #expect(histogram.percentile(perMille: 999) <= 1_000_001)
        }
    }

    @Test func anEmptyOneShowsZero() {
        withHistogram { histogram in
            #expect(histogram.percentile(perMille: 990) == 0)
            #expect(histogram.count == 0)
        }
    }

    @Test func nothingIsLostWhenManyThreadsRecord() {
        let cells = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: Histogram.cellCount)
        defer { cells.deallocate() }
        for index in 0..<Histogram.cellCount { (cells + index).initialize(to: Atomic(0)) }
        let address = UInt(bitPattern: cells)
        onThreads(4) { number in
            guard let cells = UnsafeMutablePointer<Atomic<UInt64>>(bitPattern: address) else { return }
            for value in 0..<10_000 { Histogram(cells).record(UInt64(value * 4 + number)) }
        }
        #expect(Histogram(cells).count == 40_000)
        #expect(Histogram(cells).greatest == 39_999)
        #expect(Histogram(cells).sum == 39_999 * 40_000 / 2)
    }

    private func withHistogram(_ body: (Histogram) -> Void) {
        let cells = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: Histogram.cellCount)
        for index in 0..<Histogram.cellCount { (cells + index).initialize(to: Atomic(0)) }
        body(Histogram(cells))
        cells.deallocate()
    }
}
