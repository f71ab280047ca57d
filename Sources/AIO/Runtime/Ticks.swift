internal import AIOCore

/// The ticks of a clock as an async sequence: the result of ``IORuntime/ticks(every:from:)``. Each iteration starts
/// anew.
///
/// Each tick is a timeout of its own. Ticks are not queued, and nothing is in flight while nobody waits.
public struct Ticks: AsyncSequence, Sendable {
    public typealias Element = Tick
    public typealias Failure = IOError

    let runtime: IORuntime
    let interval: Duration
    let first: Deadline?

    /// One tick, which may stand for several that were missed.
    public struct Tick: Sendable, Hashable {
        /// When the last of these ticks was due.
        public let due: Deadline
        /// The number of ticks due since the previous one: 1, or more if the loop's body took longer than an interval.
        public let count: Int
    }

    public func makeAsyncIterator() -> Iterator { Iterator(self) }

    /// Waits for one tick after the other. One task uses it at a time.
    public struct Iterator: AsyncIteratorProtocol {
        private let runtime: IORuntime
        /// In nanoseconds; 0 for an invalid interval.
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
                throw IOError(.invalidArgument, "ticks", advice: "the interval must be at least 1 ns")
            }
            // Even if the tick is due already: a body that is always late would otherwise starve the other tasks of its
            // loop.
            do throws(IOError) { try await runtime.sleep(until: Deadline(nanoseconds: due)) } catch {
                guard error.endsEvents else { throw error }
                return nil
            }
            let passed = (Swift.max(Kernel.now(), due) - due) / interval
            let last = due + passed * interval
            let (next, isBeyond) = last.addingReportingOverflow(interval)
            due = isBeyond ? .never : next
            return Tick(due: Deadline(nanoseconds: last), count: Int(clamping: passed &+ 1))
        }
    }
}

extension IORuntime {
    /// Waits until `deadline`, on a loop. No thread blocks.
    ///
    /// - Throws: ``IOError/Code/cancelled`` if the task is cancelled; ``IOError/Code/runtimeShutDown``.
    public func sleep(until deadline: Deadline) async throws(IOError) {
        _ = try await perform(.timeout(deadline: deadline.nanoseconds), .never, "sleep", nil)
    }

    /// Waits for `duration`, on a loop; returns at once if it is negative. No thread blocks.
    ///
    /// - Throws: the errors of ``sleep(until:)``.
    public func sleep(for duration: Duration) async throws(IOError) { try await sleep(until: .after(duration)) }

    /// A tick every `interval`, the first at `first`, or one interval after the iteration starts. Ticks do not drift:
    /// each is due a whole number of intervals after the first. Missed ticks are counted in ``Ticks/Tick/count`` and
    /// not delivered separately.
    ///
    /// The sequence ends when the task is cancelled. It throws ``IOError/Code/invalidArgument`` if the interval is not
    /// positive, and ``IOError/Code/runtimeShutDown``; after a shutdown with ``ShutdownMode/cancel``, a wait in
    /// progress throws ``IOError/Code/cancelled``.
    public func ticks(every interval: Duration, from first: Deadline? = nil) -> Ticks {
        Ticks(runtime: self, interval: interval, first: first)
    }
}
