/// The recipient of a loop's completions, which may also run jobs on the loop's thread.
///
/// All requirements but ``hasJobs()`` are called on the loop's thread only.
public protocol LoopClient: AnyObject, Sendable {
    /// Delivers completions, oldest first. Their slots are free again.
    func deliver(_ deliveries: UnsafeBufferPointer<Delivery>)

    /// Runs some of the pending jobs, and returns whether more are pending. The loop alternates between jobs and
    /// completions, so that neither starves the other.
    func runJobs() -> Bool

    /// Whether jobs are pending. Called after the loop announced that it falls asleep: a job added later must wake it.
    func hasJobs() -> Bool

    /// The latest time at which ``expire(_:)`` must be called; `.never` if it need not be.
    var nextDeadline: Nanoseconds { get }
    /// Does what is due at `now`, the present on the monotonic clock.
    func expire(_ now: Nanoseconds)

    /// The loop accepts no more operations, and everything it accepted is delivered.
    func loopEnded()

    /// The kernel no longer permits entering the loop's ring, with this errno; the engine `threads` stands in.
    func engineLost(_ errno: Int32)
}

extension LoopClient {
    /// Does nothing.
    public func engineLost(_ errno: Int32) {}
}
