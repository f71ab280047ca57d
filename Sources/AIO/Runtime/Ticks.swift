internal import AIOCore

/// The ticks of a clock, as an async sequence: what `IORuntime.ticks` returns. Each loop over it begins anew.
///
/// Each tick is a timeout of its own, so that none is queued, and nothing is in flight while nobody waits.
public struct Ticks: AsyncSequence, Sendable {
    public typealias Element = Tick
    public typealias Failure = IOError

    let runtime: IORuntime
    let interval: Duration
    let first: Deadline?

    /// One tick, or what has become of several.
    public struct Tick: Sendable, Hashable {
        /// When the last of them was due.
        public let due: Deadline
        /// Those that were due since the one before: 1, or more if the loop's body took longer than an interval.
        public let count: Int
    }

    public func makeAsyncIterator() -> Iterator { Iterator(self) }

    public struct Iterator: AsyncIteratorProtocol {
        private let runtime: IORuntime
        /// 0 for an interval that cannot be.
        private let interval: Nanoseconds
        private var due: Nanoseconds

        init(_ ticks: Ticks) {
            runtime = ticks.runtime
            interval = Nanoseconds(clamping: ticks.interval.attoseconds / 1_000_000_000)
            due = (ticks.first ?? .after(ticks.interval)).nanoseconds
        }

        public mutating func next() async throws(IOError) -> Tick? { try await nextTick() }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(IOError) -> Tick? {
            try await nextTick()
        }

        private mutating func nextTick() async throws(IOError) -> Tick? {
            guard interval > 0 else {
                throw IOError(.invalidArgument, "ticks", advice: "the interval is a nanosecond at least")
            }
            // Also if it is due already: a body that is always late would keep its loop from everybody else.
            try await runtime.sleep(until: Deadline(nanoseconds: due))
            let passed = (Swift.max(Kernel.now(), due) - due) / interval
            let last = due + passed * interval
            let (next, isBeyond) = last.addingReportingOverflow(interval)
            due = isBeyond ? .never : next
            return Tick(due: Deadline(nanoseconds: last), count: Int(clamping: passed &+ 1))
        }
    }
}

extension IORuntime {
    /// Waits until `deadline`, on a loop. Throws `cancelled` if the task is.
    public func sleep(until deadline: Deadline) async throws(IOError) {
        _ = try await perform(.timeout(deadline: deadline.nanoseconds), .never, "sleep", nil)
    }

    /// Waits for `duration`; not at all if it is negative. As `sleep(until:)`.
    public func sleep(for duration: Duration) async throws(IOError) { try await sleep(until: .after(duration)) }

    /// A tick every `interval`, the first one at `first`, or an interval after the loop begins. They do not drift: each is
    /// due a whole number of intervals after the first. Those that were missed are counted (`Tick.count`), not made up for.
    ///
    /// The sequence does not end. Its `next` throws `cancelled` if the task is, and `invalidArgument` for an interval that
    /// is not positive.
    public func ticks(every interval: Duration, from first: Deadline? = nil) -> Ticks {
        Ticks(runtime: self, interval: interval, first: first)
    }
}
