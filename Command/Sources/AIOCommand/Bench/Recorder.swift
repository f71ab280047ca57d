import Histogram

/// The measurements of one turn. All times are in nanoseconds.
final class Recorder {
    /// A distribution of times: percentiles (three significant digits), the exact sum and the exact maximum.
    struct Times {
        private(set) var histogram = Histogram<UInt64>(
            lowestDiscernibleValue: 1, highestTrackableValue: Times.longest, numberOfSignificantValueDigits: .three)
        private(set) var sum: UInt64 = 0
        private(set) var worst: UInt64 = 0
        private(set) var count: UInt64 = 0

        /// The histogram counts longer times as 1,000 s.
        private static let longest: UInt64 = 1_000_000_000_000

        @inline(__always)
        mutating func record(_ time: UInt64) {
            histogram.record(min(time, Times.longest))
            sum &+= time
            count &+= 1
            if time > worst { worst = time }
        }

        mutating func add(_ other: Times) {
            histogram.add(other.histogram)
            sum &+= other.sum
            count &+= other.count
            worst = max(worst, other.worst)
        }

        var mean: Double { count == 0 ? 0 : Double(sum) / Double(count) }

        func percentile(_ percent: Double) -> UInt64 { histogram.valueAtPercentile(percent) }
    }

    /// From just before submission until the caller has the result.
    private(set) var latency = Times()
    /// How long each call held the calling thread.
    private(set) var submitting = Times()

    @inline(__always)
    func operationCompleted(after time: UInt64) { latency.record(time) }

    @inline(__always)
    func callReturned(after time: UInt64) { submitting.record(time) }

    var operationCount: Int { Int(latency.count) }

    func add(_ other: Recorder) {
        latency.add(other.latency)
        submitting.add(other.submitting)
    }
}
