internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// The library in this process: its contexts, and the loop for operations that cannot be done in the call.
struct Library: ~Copyable {
    let table: ContextTable
    let processors: UInt32
    /// Whether direct I/O may go to the kernel's Linux AIO. False if AIO_ENGINE names an engine.
    let usesNative: Bool
    let guesses: UnsafeMutablePointer<CacheGuess>
    let direct: DirectGuesses
    let order = CallOrder()
    let probe = KernelProbe()
    private let startLock = Lock()
    private let carrier: UnsafeMutablePointer<Atomic<UInt>>
    /// When to try again to start the loop after a failure.
    private let nextStart: UnsafeMutablePointer<Atomic<UInt64>>

    private static var guessCount: Int { 128 }
    private static var startPause: Nanoseconds { 100_000_000 }

    private init?() {
        guard let table = ContextTable() else { return nil }
        self.table = table
        usesNative = !isEngineForced()
        processors = UInt32(di_configured_processors())
        guesses = .allocate(capacity: Self.guessCount)
        for index in 0..<Self.guessCount { (guesses + index).initialize(to: CacheGuess()) }
        direct = DirectGuesses()
        carrier = .allocate(capacity: 1)
        carrier.initialize(to: Atomic(0))
        nextStart = .allocate(capacity: 1)
        nextStart.initialize(to: Atomic(0))
    }

    /// The library, created at the first call. nil without memory.
    static func shared() -> UnsafeMutablePointer<Library>? {
        ProcessState.object {
            guard let library = Library(), let memory = malloc(MemoryLayout<Library>.stride) else { return nil }
            let place = memory.bindMemory(to: Library.self, capacity: 1)
            place.initialize(to: library)
            return place
        }
    }

    /// The guess whether to try a read or a write without waiting. Several descriptors may share one.
    borrowing func guess(_ descriptor: Int32, isWrite: Bool) -> UnsafeMutablePointer<CacheGuess> {
        guesses + (Int(UInt32(bitPattern: descriptor)) * 2 + (isWrite ? 1 : 0)) % Self.guessCount
    }

    /// The loop, started on first use. nil if it could not be started for want of a thread, descriptor or memory; the
    /// next try is a tenth of a second later. Also nil if the caller has another descriptor table than the loop.
    borrowing func loop() -> Carrier<Record>? {
        if let running = runningLoop() { return running.knowsCallersFiles ? running : nil }
        // Relaxed: one try more or less does no harm.
        let pause = nextStart.pointee.load(ordering: .relaxed)
        if pause != 0, Kernel.now() < pause { return nil }
        startLock.lock()
        defer { startLock.unlock() }
        if let running = runningLoop() { return running.knowsCallersFiles ? running : nil }
        guard let started = try? Carrier<Record>.startChosen() else {
            nextStart.pointee.store(Kernel.now() &+ Self.startPause, ordering: .relaxed)
            return nil
        }
        assert(startLock.isHeld)
        let address = UInt(bitPattern: Unmanaged.passRetained(started.carrier).toOpaque())
        carrier.pointee.store(address, ordering: .releasing)
        return started.carrier
    }

    /// The loop if it has been started.
    @inline(__always)
    borrowing func runningLoop() -> Carrier<Record>? {
        // Acquire: the carrier was created before its address was stored. It is never released.
        UnsafeRawPointer(bitPattern: carrier.pointee.load(ordering: .acquiring)).map {
            Unmanaged<Carrier<Record>>.fromOpaque($0).takeUnretainedValue()
        }
    }
}

/// See last_thread.h. Accepted transfers and syncs are carried out. Operations that wait for another party end with the
/// process, as with the kernel's own Linux AIO, and the kernel takes care of its own operations.
@c(drop_in_has_nothing_in_flight)
func hasNothingInFlight() -> Bool {
    let library: UnsafeMutablePointer<Library>? = ProcessState.existing()
    return library?.pointee.table.hasAny { $0.hasWorkInFlight } != true
}
