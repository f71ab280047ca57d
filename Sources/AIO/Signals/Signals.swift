internal import AIOCore
internal import CKernel
internal import Synchronization

/// The signals that this process gets, as an async sequence: `for try await signal in try Signals([.terminate])`.
///
/// From `init` on they do what this sequence's user makes of them, and not what they did before: a `Signals` with
/// `.interrupt` keeps Ctrl-C from ending the program. What they did before, they do again when the last `Signals` with
/// them is closed or dropped. Every `Signals` gets every signal it names; tasks that ask the same one share what comes.
///
/// Nothing is queued: a signal that comes again before it was asked for is counted, and so is told once. One that all
/// threads of the process block stays with the kernel until one lets it through; the threads of this library, and of
/// Swift's and libdispatch's pools, block all, the main thread none.
public final class Signals: AsyncSequence, Sendable {
    public typealias Element = ReceivedSignal
    public typealias Failure = IOError

    public let signals: Set<Signal>
    private let runtime: IORuntime
    private let handle: StreamHandle
    // unsafe: the pointer is made once, and what it points at is atomic.
    nonisolated(unsafe) private let tally: UnsafeMutablePointer<SignalTally>
    /// Readable when something has come.
    private let event: MarkedTimer
    private let isEnded = Atomic(false)

    /// Begins to receive the signals. Throws `invalidArgument` for what cannot be caught (`.kill`, `.stop`) and for what a
    /// fault of the program's brings (SIGSEGV and its like), and `limitReached` with 64 sequences open. sigaction(2).
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
        // The descriptor is closed here, when no handler writes to it any more.
        handle = StreamHandle(Descriptor(event.number, kind: .stream), "signals", isBorrowed: true, runtime)
        tally = .allocate(capacity: 1)
        tally.initialize(to: SignalTally(signals, event: event))
        do throws(IOError) { try SignalTable.shared.add(tally, signals) } catch {
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

    // MARK: Asking

    /// The next signal; waits if none has come since the last was asked for. Of several the lowest number comes first.
    /// nil after `close`, also one that comes while this waits.
    ///
    /// Throws `cancelled` or `deadlineExceeded`, after which nothing is lost. The kernel calls are poll(2), as the engine
    /// has it, and timerfd_settime(2), by which it is made readable.
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

    /// nil too if the sequence is closed, the task cancelled or the deadline over, which the wait that follows will say.
    private func takeNow(_ deadline: Deadline) -> ReceivedSignal? {
        guard (try? handle.begin(Self.operation, deadline)) != nil else { return nil }
        defer { handle.end() }
        // Before the look: what comes after it makes the descriptor readable again.
        event.set(nil)
        let received = tally.pointee.take()
        // For other tasks that wait.
        if !tally.pointee.isEmpty { event.signal() }
        return received
    }

    // MARK: The end

    /// Ends the sequence, for who waits for it too: the signals do what they did before. Is not cancelled. A second close
    /// throws `fileClosed`. To drop the sequence does the same.
    public func close() async throws(IOError) {
        try await handle.close()
        end()
    }

    /// Nobody waits any more.
    private func end() {
        guard !isEnded.exchange(true, ordering: .acquiringAndReleasing) else { return }
        SignalTable.shared.remove(tally, signals)
        event.close()
    }

    // MARK: AsyncSequence

    public func makeAsyncIterator() -> Iterator { Iterator(signals: self) }

    /// Asks for one signal after the other. Those of one `Signals` share what comes.
    public struct Iterator: AsyncIteratorProtocol {
        let signals: Signals

        public mutating func next() async throws(IOError) -> ReceivedSignal? { try await signals.next() }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(IOError) -> ReceivedSignal? {
            try await signals.next()
        }
    }
}
