internal import AIOCore
internal import CKernel
internal import Glibc
internal import Synchronization

/// Which signals this process receives for whom: one handler for all of them, which is there while somebody wants the
/// signal.
///
/// A handler, and no signalfd(2): that is given a signal only if no thread takes it, so all of them have to block it. Those
/// of others (libdispatch's, a library's) cannot be told to, and the main thread of an async program waits in
/// sigsuspend(2), with nothing blocked. A handler runs on whichever thread takes the signal.
final class SignalTable: Sendable {
    static let shared = SignalTable()

    /// Most sequences at once.
    static let capacity = 64

    private struct Use {
        var count = 0
        var previous = sigaction()
    }

    private struct State: ~Copyable, @unchecked Sendable {
        // @unchecked: the actions are plain values; what they point at is the program's, and for the kernel to call.
        var uses: [Int32: Use] = [:]
    }

    private let state = Guarded(State())
    /// Addresses of tallies; 0 where there is none.
    // unsafe: the pointer is made once, and what it points at is atomic.
    nonisolated(unsafe) private let tallies: UnsafeMutablePointer<Atomic<UInt>>
    /// Handlers that run now: what they may look at must outlive them.
    private let running = Atomic<Int>(0)

    private init() {
        tallies = .allocate(capacity: Self.capacity)
        for index in 0..<Self.capacity { (tallies + index).initialize(to: Atomic(0)) }
    }

    // MARK: The handler

    /// On any thread, at any point: nothing here takes a lock, allocates, or touches errno.
    fileprivate func note(_ info: ck_signal_info) {
        // Sequentially consistent with `remove`: either this sees the place empty, or that sees this run.
        running.wrappingAdd(1, ordering: .sequentiallyConsistent)
        let sender = info.senderWord
        for index in 0..<Self.capacity {
            let address = tallies[index].load(ordering: .sequentiallyConsistent)
            guard let tally = UnsafePointer<SignalTally>(bitPattern: address) else { continue }
            tally.pointee.note(info.signal, sender: sender)
        }
        running.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    }

    // MARK: Coming and going

    /// From now on the signals are noted in the tally, which stays where it is until `remove`.
    func add(_ tally: UnsafePointer<SignalTally>, _ signals: Set<Signal>) throws(IOError) {
        try state.withLock { state throws(IOError) in
            guard let place = (0..<Self.capacity).first(where: { tallies[$0].load(ordering: .relaxed) == 0 }) else {
                let advice = "there are \(Self.capacity) sequences of signals already; close some"
                throw IOError(.limitReached, "sigaction", advice: advice)
            }
            tallies[place].store(UInt(bitPattern: tally), ordering: .sequentiallyConsistent)
            var installed: Set<Signal> = []
            do throws(IOError) {
                for signal in signals {
                    try Self.begin(signal, &state.uses[signal.rawValue, default: Use()])
                    installed.insert(signal)
                }
            } catch {
                end(tally, installed, &state)
                throw error
            }
        }
    }

    /// When this returns, no handler knows the tally any more.
    func remove(_ tally: UnsafePointer<SignalTally>, _ signals: Set<Signal>) {
        state.withLock { state in end(tally, signals, &state) }
    }

    private func end(_ tally: UnsafePointer<SignalTally>, _ signals: Set<Signal>, _ state: inout State) {
        for signal in signals {
            Self.end(signal, &state.uses[signal.rawValue, default: Use()])
            if state.uses[signal.rawValue]?.count == 0 { state.uses[signal.rawValue] = nil }
        }
        let address = UInt(bitPattern: tally)
        for index in 0..<Self.capacity where tallies[index].load(ordering: .relaxed) == address {
            tallies[index].store(0, ordering: .sequentiallyConsistent)
        }
        // A handler waits for nobody, so this takes a moment at most.
        while running.load(ordering: .sequentiallyConsistent) > 0 { sched_yield() }
    }

    private static func begin(_ signal: Signal, _ use: inout Use) throws(IOError) {
        if use.count == 0 {
            var action = sigaction()
            action.__sigaction_handler.sa_sigaction = noteSignal
            // What the program's own threads wait for goes on; and stacks of its choice are used.
            action.sa_flags = Int32(bitPattern: UInt32(SA_RESTART) | UInt32(SA_ONSTACK) | UInt32(SA_SIGINFO))
            sigfillset(&action.sa_mask)
            guard sigaction(signal.rawValue, &action, &use.previous) == 0 else {
                var error = IOError(result: -errno, "sigaction")
                error.advice = "\(signal) cannot be received"
                throw error
            }
        }
        use.count += 1
    }

    /// The last one puts back what was there before, unless somebody has put something else there meanwhile.
    private static func end(_ signal: Signal, _ use: inout Use) {
        use.count -= 1
        guard use.count == 0 else { return }
        var current = sigaction()
        guard sigaction(signal.rawValue, nil, &current) == 0, isOurs(current) else { return }
        sigaction(signal.rawValue, &use.previous, nil)
    }

    private static func isOurs(_ action: sigaction) -> Bool {
        let handler = action.__sigaction_handler.sa_sigaction
        return unsafeBitCast(handler, to: UInt.self) == unsafeBitCast(noteSignal, to: UInt.self)
    }
}

/// What the kernel calls. The table is there before it is ever installed.
private let noteSignal: @convention(c) (Int32, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void = {
    _, info, _ in
    guard let info else { return }
    SignalTable.shared.note(UnsafeRawPointer(info).loadUnaligned(as: ck_signal_info.self))
}
