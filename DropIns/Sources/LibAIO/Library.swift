internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// The library in this process: its contexts, and the loop that carries out what cannot be done in the call.
struct Library: ~Copyable {
    let table: ContextTable
    let processors: UInt32
    /// Whether direct I/O may go to the kernel's Linux AIO; not if an engine is asked for by name.
    let usesNative: Bool
    let guesses: UnsafeMutablePointer<CacheGuess>
    let direct: DirectGuesses
    let order = CallOrder()
    let probe = KernelProbe()
    private let startLock = Lock()
    private let carrier: UnsafeMutablePointer<Atomic<UInt>>
    /// When to try again to start a loop that could not be.
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

    /// The library, made at the first call. nil without memory.
    static func shared() -> UnsafeMutablePointer<Library>? {
        ProcessState.object {
            guard let memory = malloc(MemoryLayout<Library>.stride), let library = Library() else { return nil }
            let place = memory.bindMemory(to: Library.self, capacity: 1)
            place.initialize(to: library)
            return place
        }
    }

    /// Whether the page cache is worth asking to read or write without waiting. By descriptor; several may share one guess.
    borrowing func guess(_ descriptor: Int32, isWrite: Bool) -> UnsafeMutablePointer<CacheGuess> {
        guesses + (Int(descriptor) * 2 + (isWrite ? 1 : 0)) % Self.guessCount
    }

    /// The loop, started when first needed. nil if no thread, descriptor or memory could be had for it; that is tried again
    /// a tenth of a second later. nil as well if the caller's descriptors have no numbers there.
    borrowing func loop() -> Carrier<Record>? {
        if let running = runningLoop() { return running.knowsCallersFiles ? running : nil }
        // Relaxed: a try more, or less, does no harm.
        let pause = nextStart.pointee.load(ordering: .relaxed)
        if pause != 0, Kernel.now() < pause { return nil }
        startLock.lock()
        defer { startLock.unlock() }
        if let running = runningLoop() { return running.knowsCallersFiles ? running : nil }
        guard let started = try? Carrier<Record>.startChosen() else {
            nextStart.pointee.store(Kernel.now() &+ Self.startPause, ordering: .relaxed)
            return nil
        }
        let address = UInt(bitPattern: Unmanaged.passRetained(started.carrier).toOpaque())
        carrier.pointee.store(address, ordering: .releasing)
        return started.carrier
    }

    /// The loop if it has been started.
    @inline(__always)
    borrowing func runningLoop() -> Carrier<Record>? {
        // Acquire: the carrier was made before it was stored. It is never given up.
        UnsafeRawPointer(bitPattern: carrier.pointee.load(ordering: .acquiring)).map {
            Unmanaged<Carrier<Record>>.fromOpaque($0).takeUnretainedValue()
        }
    }
}

/// See last_thread.h. Transfers and syncs that were accepted are carried out; what waits for somebody else the kernel
/// ends with the process as well, and what it has itself is its own to see to.
@c(drop_in_has_nothing_in_flight)
func hasNothingInFlight() -> Bool {
    let library: UnsafeMutablePointer<Library>? = ProcessState.existing()
    return library?.pointee.table.hasAny { $0.hasWorkInFlight } != true
}
