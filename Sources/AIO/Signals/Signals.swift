internal import AIOCore
internal import CKernel
internal import Synchronization

/// Signals of this process as an async sequence: `for try await signal in try Signals([.terminate])`.
///
/// From `init` on, the sequence receives the signals and their previous actions do not run: a `Signals` with
/// ``Signal/interrupt`` keeps Ctrl-C from ending the program. The previous actions are restored when the last `Signals`
/// with them is closed or dropped. Every `Signals` receives every signal that it names; tasks that use the same
/// `Signals` share them.
///
/// A loop over the sequence ends when the sequence is closed, and when the task is cancelled. A signal that arrives
/// after that is returned by the next loop.
///
/// Signals are counted, not queued: one that arrives repeatedly before it is asked for is returned once. A signal that
/// all threads block stays pending in the kernel until a thread unblocks it. The threads of this library and of the
/// pools of Swift and libdispatch block all signals, the main thread blocks none.
public final class Signals: AsyncSequence, Sendable {
    public typealias Element = ReceivedSignal
    public typealias Failure = IOError

    /// The signals that the sequence receives.
    public let signals: Set<Signal>
    private let runtime: IORuntime
    private let table = SignalTable.current
    private let handle: StreamHandle
    // unsafe: the pointer never changes, and the memory behind it is atomic.
    nonisolated(unsafe) private let tally: UnsafeMutablePointer<SignalTally>
    /// Readable when a signal has arrived.
    private let event: MarkedTimer
    private let isEnded = Atomic(false)

    /// Begins to receive the signals. Kernel call: sigaction(2).
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` for signals that cannot be caught (``Signal/kill``, ``Signal/stop``)
    ///   and for faults of the program (SIGSEGV and others); ``IOError/Code/limitReached`` if 64 sequences are open.
    public init(_ signals: Set<Signal>, runtime: IORuntime = .shared) throws(IOError) {
        try runtime.check("sigaction")
        for signal in signals where !signal.canBeReceivedLater {
            throw IOError(.invalidArgument, "sigaction", advice: "\(signal) cannot be received")
        }
        var refused: Int32 = 0
        guard let event = MarkedTimer(errno: &refused) else { throw IOError(result: -refused, "timerfd") }
        self.event = event
        self.signals = signals
        self.runtime = runtime
        // Borrowed by the handle: `end` closes the descriptor, after the last handler has written to it.
        handle = StreamHandle(Descriptor(event.number, kind: .stream), "signals", isBorrowed: true, runtime)
        tally = .allocate(capacity: 1)
        tally.initialize(to: SignalTally(signals, event: event))
        do throws(IOError) { try table.add(tally, signals) } catch {
            isEnded.store(true, ordering: .relaxed)
            event.close()
            throw error
        }
    }

    deinit {
        end()
        tally.deinitialize(count: 1)
        tally.deallocate()
    }

    // MARK: Receiving

    /// The next signal; waits if none has arrived since the last call. Of several, the lowest number comes first. nil
    /// after ``close()``, also if the sequence is closed during the wait.
    ///
    /// No thread blocks. After ``IOError/Code/cancelled`` or ``IOError/Code/deadlineExceeded`` no signal is lost.
    /// Kernel calls: poll(2), in the engine's form, and timerfd_settime(2), which makes the descriptor readable.
    ///
    /// - Throws: ``IOError/Code/cancelled`` in a cancelled task, where a loop over the sequence ends;
    ///   ``IOError/Code/deadlineExceeded``.
    public func next(deadline: Deadline = .never) async throws(IOError) -> ReceivedSignal? {
        while true {
            if let received = takeNow(deadline) { return received }
            do throws(IOError) {
                let operation = Operation.poll(handle.descriptor, events: CK_POLLIN)
                _ = try await handle.perform(operation, deadline, Self.operation)
            } catch {
                guard error.code == .fileClosed else { throw error }
                return nil
            }
        }
    }

    private static var operation: String { "signal" }

    /// nil also if the sequence is closed, the task cancelled or the deadline passed; the wait that follows reports
    /// this.
    private func takeNow(_ deadline: Deadline) -> ReceivedSignal? {
        guard (try? handle.begin(Self.operation, deadline)) != nil else { return nil }
        defer { handle.end() }
        // Cleared before the tally is read: a signal that arrives later makes the descriptor readable again.
        event.set(nil)
        let received = tally.pointee.take()
        // Wakes other tasks that wait.
        if !tally.pointee.isEmpty { event.signal() }
        return received
    }

    // MARK: Closing

    /// Ends the sequence, also for tasks that wait for it, and restores the previous actions of the signals. Dropping
    /// the sequence does the same. A close is never cancelled. Kernel call: sigaction(2).
    ///
    /// - Throws: ``IOError/Code/fileClosed`` if it is closed already.
    public func close() async throws(IOError) {
        try await handle.close()
        end()
    }

    /// Called when no task waits any more.
    private func end() {
        guard !isEnded.exchange(true, ordering: .acquiringAndReleasing) else { return }
        table.remove(tally, signals)
        event.close()
    }

    // MARK: AsyncSequence

    public func makeAsyncIterator() -> Iterator { Iterator(signals: self) }

    /// Returns one signal after the other; nil also in a cancelled task. The iterators of one `Signals` share its
    /// signals.
    public struct Iterator: AsyncIteratorProtocol {
        let signals: Signals

        public mutating func next() async throws(IOError) -> ReceivedSignal? { try await nextUnlessCancelled() }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(IOError) -> ReceivedSignal? {
            try await nextUnlessCancelled()
        }

        private func nextUnlessCancelled() async throws(IOError) -> ReceivedSignal? {
            do throws(IOError) { return try await signals.next() } catch {
                guard error.endsEvents else { throw error }
                return nil
            }
        }
    }
}
