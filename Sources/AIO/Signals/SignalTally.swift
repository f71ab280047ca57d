internal import AIOCore
internal import CKernel
internal import Synchronization

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The signals that arrived for one `Signals`, in memory that a signal handler may write.
struct SignalTally: ~Copyable {
    private let mask: UInt64
    private let event: MarkedTimer
    /// Indexed by signal number minus 1.
    private let counts: UnsafeMutablePointer<Atomic<UInt32>>
    /// Process and user in one word, so that they are consistent; all ones for no sender.
    private let senders: UnsafeMutablePointer<Atomic<UInt64>>

    /// `event` is borrowed.
    init(_ signals: Set<Signal>, event: MarkedTimer) {
        mask = signals.reduce(0) { $0 | $1.bit }
        self.event = event
        counts = .allocate(capacity: Int(CK_SIGNAL_MAX))
        senders = .allocate(capacity: Int(CK_SIGNAL_MAX))
        for index in 0..<Int(CK_SIGNAL_MAX) {
            (counts + index).initialize(to: Atomic(0))
            (senders + index).initialize(to: Atomic(.max))
        }
    }

    deinit {
        counts.deallocate()
        senders.deallocate()
    }

    /// Runs in a signal handler: uses only atomics and sets a timer.
    func note(_ signal: Int32, sender: UInt64) {
        guard mask & (1 << UInt64(signal - 1)) != 0 else { return }
        senders[Int(signal) - 1].store(sender, ordering: .relaxed)
        // Releasing: the side that takes the count sees this sender or a later one.
        counts[Int(signal) - 1].wrappingAdd(1, ordering: .releasing)
        event.signal()
    }

    /// Takes the count and sender of the lowest signal that arrived.
    func take() -> ReceivedSignal? {
        for signal in 1...CK_SIGNAL_MAX where mask & (1 << UInt64(signal - 1)) != 0 {
            let count = counts[Int(signal) - 1].exchange(0, ordering: .acquiring)
            guard count > 0 else { continue }
            let sender = senders[Int(signal) - 1].load(ordering: .relaxed)
            return ReceivedSignal(
                signal: Signal(rawValue: signal), count: Int(count),
                sender: sender == .max ? nil : ReceivedSignal.Sender(sender))
        }
        return nil
    }

    var isEmpty: Bool {
        (0..<Int(CK_SIGNAL_MAX)).allSatisfy { counts[$0].load(ordering: .relaxed) == 0 }
    }
}

extension ReceivedSignal.Sender {
    fileprivate init(_ word: UInt64) {
        self.init(process: Int32(truncatingIfNeeded: word >> 32), user: UInt32(truncatingIfNeeded: word))
    }
}

extension ck_signal_info {
    /// The sender as one word, for kill(2), sigqueue(3), tgkill(2) and changes of children; all ones otherwise.
    var senderWord: UInt64 {
        let isSent = [0, -1, -6].contains(code) || signal == SIGCHLD && code > 0
        return isSent ? UInt64(UInt32(bitPattern: process)) << 32 | UInt64(user) : .max
    }
}
