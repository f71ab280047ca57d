/// Whom a loop works for: it takes the completions, and may have work of its own to run on the loop's thread.
///
/// All but `hasJobs` are called on the loop's thread only.
public protocol LoopClient: AnyObject, Sendable {
    /// Completions, oldest first. Their places in the table are free again.
    func deliver(_ deliveries: UnsafeBufferPointer<Delivery>)

    /// Runs some of the work that waits, and returns whether more does. The loop looks after its completions in
    /// between, so that neither starves the other.
    func runJobs() -> Bool

    /// Whether work waits. Asked when the loop has said that it sleeps: work added later must wake it.
    func hasJobs() -> Bool

    /// When `expire` wants to be called at the latest.
    var nextDeadline: Nanoseconds { get }
    func expire(_ now: Nanoseconds)

    /// The loop accepts nothing any more, and everything that it had accepted is delivered.
    func loopEnded()

    /// The kernel lets the loop's ring be entered no more, for this reason: the engine `threads` stands in for it.
    func engineLost(_ errno: Int32)
}

extension LoopClient {
    public func engineLost(_ errno: Int32) {}
}
