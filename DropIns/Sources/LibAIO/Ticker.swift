internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// Looks now and then whether the program takes its events by itself, off the ring, without a call that would bring
/// the kernel's there: then the loop has to.
///
/// The first look comes after a millisecond; as long as the program makes calls, each comes twice as late as the one
/// before, up to `intervalMax`.
struct Ticker: BitwiseCopyable {
    private(set) var isRunning = false
    private var interval = Ticker.intervalMin
    private var reapCount: UInt32 = 0
    private var submitCount: UInt32 = 0

    static var intervalMin: Nanoseconds { 1_000_000 }
    private static var intervalMax: Nanoseconds { 64_000_000 }

    enum Finding {
        /// The program makes calls, or has not had the time to.
        case lookAgain
        /// Nothing is in flight, and nothing was submitted since the last look.
        case idle
        /// Events wait that nobody calls for.
        case needsLoop
    }

    mutating func start(_ native: NativeContext) -> Nanoseconds {
        isRunning = true
        interval = Self.intervalMin
        note(native)
        return interval
    }

    mutating func look(_ native: NativeContext) -> (Finding, Nanoseconds) {
        defer { note(native) }
        if native.inFlightCount > 0, native.waiterCount == 0, native.reapCount == reapCount {
            return (.needsLoop, Self.intervalMin)
        }
        if native.inFlightCount == 0, native.submitCount == submitCount {
            isRunning = false
            return (.idle, 0)
        }
        interval = min(interval * 2, Self.intervalMax)
        return (.lookAgain, interval)
    }

    /// A look for threads alone that wait in the kernel still: a signal handler may have taken them elsewhere, and then
    /// they are there for good.
    mutating func lookForWaiters() -> Nanoseconds {
        interval = min(interval * 2, Self.intervalMax)
        return interval
    }

    /// The loop does all that is left to be done, every `intervalMin`.
    mutating func stop() { isRunning = false }

    private mutating func note(_ native: NativeContext) {
        reapCount = native.reapCount
        submitCount = native.submitCount
    }
}

extension Context {
    /// After direct transfers were handed to the kernel.
    func keepTicking(_ library: UnsafeMutablePointer<Library>) {
        // Without the lock: if it has just stopped, the next submission sees it.
        guard !state.pointee.ticker.isRunning, let loop = library.pointee.loop() else { return }
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        guard isAlive, !state.pointee.ticker.isRunning, let native = state.pointee.native, let tick = tickRecord()
        else {
            return
        }
        let interval = state.pointee.ticker.start(native)
        references.pointee.wrappingAdd(1, ordering: .relaxed)
        tick.pointee.operation = .timeout(deadline: Kernel.now() &+ interval)
        loop.carry(tick)
    }

    /// Under the lock.
    private func tickRecord() -> UnsafeMutablePointer<Record>? {
        if let tick = state.pointee.tick { return tick }
        guard let memory = malloc(MemoryLayout<Record>.stride) else { return nil }
        let tick = memory.bindMemory(to: Record.self, capacity: 1)
        tick.initialize(to: Record(self))
        tick.pointee.isTick = true
        state.pointee.tick = tick
        return tick
    }

    /// On the loop's thread: the time of a look has come.
    func tick() {
        let loop = Library.shared()?.pointee.runningLoop()
        state.pointee.lock.lock()
        let next = isAlive ? look() : nil
        if let next, let tick = state.pointee.tick, let loop {
            tick.pointee.operation = .timeout(deadline: Kernel.now() &+ next)
            loop.carry(tick)
        } else {
            state.pointee.ticker.stop()
        }
        let publishes = state.pointee.mode == .loop && isAlive
        // It is ours as long as this goes on, whatever the next look finds.
        references.pointee.wrappingAdd(1, ordering: .relaxed)
        state.pointee.lock.unlock()
        if publishes {
            publishNative()
            dismissNativeWaiters()
        }
        leave(next == nil ? 2 : 1)
    }

    /// Under the lock: when to look again; nil for not at all.
    private func look() -> Nanoseconds? {
        guard let native = state.pointee.native else { return nil }
        guard state.pointee.mode == .native else {
            // Those that were in flight or waited when the context turned to the loop.
            if native.inFlightCount > 0 { return Ticker.intervalMin }
            return native.waiterCount > 0 ? state.pointee.ticker.lookForWaiters() : nil
        }
        let (finding, interval) = state.pointee.ticker.look(native)
        switch finding {
        case .idle: return nil
        case .lookAgain: return interval
        case .needsLoop:
            state.pointee.mode = .loop
            return interval
        }
    }

    /// The context ends: no more looks.
    func stopTicking(_ loop: Carrier<Record>) {
        state.pointee.lock.lock()
        let isRunning = state.pointee.ticker.isRunning
        var isWithdrawn = false
        if isRunning, let tick = state.pointee.tick { isWithdrawn = loop.requestCancel(tick) }
        if isWithdrawn { state.pointee.ticker.stop() }
        state.pointee.lock.unlock()
        if isWithdrawn { leave(1) }
    }
}
