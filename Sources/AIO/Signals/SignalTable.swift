internal import AIOCore
internal import CKernel
internal import Synchronization

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Dispatches signals to `Signals` sequences. One handler serves all signals; it is installed while a sequence uses the
/// signal.
///
/// signalfd(2) is not used, because it receives a signal only if all threads block it. Threads of others (libdispatch,
/// other libraries) cannot be made to, and the main thread of an async program waits in sigsuspend(2) with nothing
/// blocked. A handler runs on whichever thread takes the signal.
package final class SignalTable: Sendable {
    static let shared = SignalTable(isSimulated: false)

    /// The table of the process: of the simulated one within a simulation.
    static var current: SignalTable { standIn.withLock { $0 }?() ?? shared }

    private static let standIn = Guarded<(@Sendable () -> SignalTable?)?>(nil)

    /// Has `table` say which table a simulated process has; nil on a thread that runs no simulation.
    package static func install(_ table: @escaping @Sendable () -> SignalTable?) {
        standIn.withLock { $0 = table }
    }

    /// Whether the process is simulated: its signals come from `note` alone, and it has no actions.
    private let isSimulated: Bool

    /// The maximum number of sequences at the same time. It is fixed, since the signal handler walks the table and can
    /// neither lock nor allocate.
    static let capacity = 64

    private struct Use {
        var count = 0
        var previous = sigaction()
    }

    private struct State: ~Copyable, @unchecked Sendable {
        // @unchecked: the actions are plain values; what they point to belongs to the program, and only the kernel
        // calls it.
        var uses: [Int32: Use] = [:]
    }

    private let state = Guarded(State())
    /// Addresses of tallies; 0 for a free place.
    // unsafe: the pointer never changes, and the memory behind it is atomic.
    nonisolated(unsafe) private let tallies: UnsafeMutablePointer<Atomic<UInt>>
    /// The number of running handlers. Tallies that they may access must outlive them.
    private let running = Atomic<Int>(0)

    package init(isSimulated: Bool) {
        self.isSimulated = isSimulated
        tallies = .allocate(capacity: Self.capacity)
        for index in 0..<Self.capacity { (tallies + index).initialize(to: Atomic(0)) }
    }

    deinit { tallies.deallocate() }

    // MARK: The handler

    /// Called on any thread at any point: takes no lock, allocates nothing and does not change errno.
    fileprivate func note(_ info: ck_signal_info) {
        // Sequentially consistent with `remove`: either this sees the empty place, or `remove` sees this handler
        // running.
        running.wrappingAdd(1, ordering: .sequentiallyConsistent)
        let sender = info.senderWord
        for index in 0..<Self.capacity {
            let address = tallies[index].load(ordering: .sequentiallyConsistent)
            guard let tally = UnsafePointer<SignalTally>(bitPattern: address) else { continue }
            tally.pointee.note(info.signal, sender: sender)
        }
        running.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    }

    /// A signal that a process sends to a simulated one.
    package func note(_ signal: Signal, fromProcess process: Int32, user: UInt32) {
        var info = ck_signal_info()
        info.signal = signal.rawValue
        info.process = process
        info.user = user
        note(info)
    }

    // MARK: Registration

    /// Whether a sequence receives the signal.
    package func receives(_ signal: Signal) -> Bool { state.withLock { $0.uses[signal.rawValue] != nil } }

    /// Registers a tally for the signals. The tally must stay at its address until `remove`.
    func add(_ tally: UnsafePointer<SignalTally>, _ signals: Set<Signal>) throws(IOError) {
        try state.withLock { state throws(IOError) in
            guard let place = (0..<Self.capacity).first(where: { tallies[$0].load(ordering: .relaxed) == 0 }) else {
                let advice = "\(Self.capacity) sequences of signals are already open; close some"
                throw IOError(.limitReached, "sigaction", advice: advice)
            }
            tallies[place].store(UInt(bitPattern: tally), ordering: .sequentiallyConsistent)
            var installed: Set<Signal> = []
            do throws(IOError) {
                for signal in signals {
                    try begin(signal, &state.uses[signal.rawValue, default: Use()])
                    installed.insert(signal)
                }
            } catch {
                end(tally, installed, &state)
                throw error
            }
        }
    }

    /// When this returns, no handler accesses the tally any more.
    func remove(_ tally: UnsafePointer<SignalTally>, _ signals: Set<Signal>) {
        state.withLock { state in end(tally, signals, &state) }
    }

    private func end(_ tally: UnsafePointer<SignalTally>, _ signals: Set<Signal>, _ state: inout State) {
        for signal in signals {
            end(signal, &state.uses[signal.rawValue, default: Use()])
            if state.uses[signal.rawValue]?.count == 0 { state.uses[signal.rawValue] = nil }
        }
        let address = UInt(bitPattern: tally)
        for index in 0..<Self.capacity where tallies[index].load(ordering: .relaxed) == address {
            tallies[index].store(0, ordering: .sequentiallyConsistent)
        }
        // Handlers never block, so this loop is short.
        while running.load(ordering: .sequentiallyConsistent) > 0 { sched_yield() }
    }

    private func begin(_ signal: Signal, _ use: inout Use) throws(IOError) {
        if use.count == 0, !isSimulated {
            var action = sigaction()
            action.__sigaction_handler.sa_sigaction = noteSignal
            // SA_RESTART: system calls of the program's threads continue. SA_ONSTACK: alternative stacks are used if
            // there are any.
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

    /// The last user restores the previous action, unless another action has been installed in the meantime.
    private func end(_ signal: Signal, _ use: inout Use) {
        use.count -= 1
        guard use.count == 0, !isSimulated else { return }
        var current = sigaction()
        guard sigaction(signal.rawValue, nil, &current) == 0, Self.isOurs(current) else { return }
        sigaction(signal.rawValue, &use.previous, nil)
    }

    private static func isOurs(_ action: sigaction) -> Bool {
        let handler = action.__sigaction_handler.sa_sigaction
        return unsafeBitCast(handler, to: UInt.self) == unsafeBitCast(noteSignal, to: UInt.self)
    }
}

/// The signal handler. The table exists before the handler is installed.
private let noteSignal: @convention(c) (Int32, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void = {
    _, info, _ in
    guard let info else { return }
    SignalTable.shared.note(UnsafeRawPointer(info).loadUnaligned(as: ck_signal_info.self))
}
