internal import AIOCore

extension Nanoseconds {
    /// The point on the monotonic clock that the kernel and the queues use.
    @inline(__always)
    init(_ deadline: ContinuousClock.Instant?) {
        self = deadline.map(Nanoseconds.init(instant:)) ?? .never
    }

    private init(instant: ContinuousClock.Instant) {
        let remaining = ContinuousClock.now.duration(to: instant).components
        let now = Kernel.now()
        guard remaining.seconds >= 0, remaining.attoseconds >= 0 else {
            self = now
            return
        }
        let (nanoseconds, overflow) = Nanoseconds(remaining.seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflows) = nanoseconds.addingReportingOverflow(now &+ Nanoseconds(remaining.attoseconds) / 1_000_000_000)
        self = overflow || overflows ? .never : sum
    }
}
