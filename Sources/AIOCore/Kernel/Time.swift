public import CKernel

extension Kernel {
    /// clock_gettime(2) of CLOCK_MONOTONIC, served in user space by the vDSO; or a simulation's clock.
    @inline(__always)
    public static func now() -> Nanoseconds {
        if hasStandIn, let time = answeredNow() { return time }
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Nanoseconds(time.tv_sec) &* 1_000_000_000 &+ Nanoseconds(time.tv_nsec)
    }
}

extension ck_timespec {
    /// From a point on the monotonic clock, or a distance.
    public init(_ time: Nanoseconds) {
        self.init(seconds: Int64(time / 1_000_000_000), nanoseconds: Int64(time % 1_000_000_000))
    }
}
