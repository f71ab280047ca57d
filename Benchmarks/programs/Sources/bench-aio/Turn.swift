import CAllocationCount
import Glibc

/// One turn: what is between its beginning and its end is measured, and printed as a line of JSON.
struct Turn {
    private let start = Turn.now()
    private let processor = Turn.processorSeconds()
    private let allocations = allocation_count()

    /// The time in nanoseconds.
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    /// The processor time of all threads, in seconds.
    private static func processorSeconds() -> Double {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
        return Double(seconds) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6
    }

    /// Ends the turn. Latencies are those that were recorded, if any were.
    func end(_ operations: Int, _ latencies: Latencies? = nil) {
        let seconds = Double(Turn.now() - start) * 1e-9
        let used = Turn.processorSeconds() - processor
        let allocated = allocation_count() - allocations
        var line = "{\"operations\": \(operations), \"seconds\": \(seconds), \"processor\": \(used)"
        line += ", \"allocations\": \(allocated)"
        if let latencies {
            for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
                line += ", \"\(name)\": \(latencies.microseconds(share))"
            }
        }
        print(line + "}")
    }
}

/// Latencies by their highest bits: 32 steps for each power of two, so at most 3 % too low. As in `bench-c`.
struct Latencies {
    private static let steps = 32
    private var slots = [Int](repeating: 0, count: 64 * steps)
    private var count = 0

    mutating func record(_ latency: UInt64) {
        let value = latency | UInt64(Self.steps)
        let power = 63 - value.leadingZeroBitCount
        slots[power * Self.steps + Int(value >> UInt64(power - 5)) & (Self.steps - 1)] += 1
        count += 1
    }

    /// The latency that the share of all operations does not exceed.
    func microseconds(_ share: Double) -> Double {
        var left = Int(Double(count) * share)
        for (slot, number) in slots.enumerated() {
            left -= number
            if left < 0 { return Double(((Self.steps + slot % Self.steps) << (slot / Self.steps)) >> 5) * 1e-3 }
        }
        return 0
    }
}
