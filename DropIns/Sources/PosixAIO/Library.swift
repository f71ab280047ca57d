internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// The library in this process. A handle.
struct Library: BitwiseCopyable {
    let state: UnsafeMutablePointer<LibraryState>

    /// The library, made at the first call. nil without memory.
    @inline(__always)
    static func shared() -> Library? {
        ProcessState.object { LibraryState.make() }.map(Library.init)
    }

    /// The library if this process has used it: a forked child has not.
    @inline(__always)
    static func existing() -> Library? {
        ProcessState.existing().map { (state: UnsafeMutablePointer<LibraryState>) in Library(state: state) }
    }

    private init(state: UnsafeMutablePointer<LibraryState>) { self.state = state }

    /// Runs `body` under the lock. Never while a signal is sent or a loop is given work.
    @inline(__always)
    func locked<R>(_ body: (UnsafeMutablePointer<LibraryState.Guarded>) -> R) -> R {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        return body(state.pointee.guarded)
    }

    /// By descriptor; several may share one guess.
    @inline(__always)
    func guess(_ descriptor: Int32) -> UnsafeMutablePointer<FileGuess> {
        state.pointee.guesses + Int(descriptor) % LibraryState.guessCount
    }

    /// The watch of the request that a control block in progress belongs to. nil if there is none: the block was never
    /// handed over, or its request has ended. Nothing in the block is believed; safe in a signal handler.
    @inline(__always)
    func watch(of block: ControlBlock) -> UnsafeMutablePointer<Watch>? {
        guard let watch = state.pointee.requests.element(block.index)?.watch,
            // Acquire: the request was begun for this block.
            watch.pointee.block.load(ordering: .acquiring) == UInt(bitPattern: block.address)
        else { return nil }
        return watch
    }

    // MARK: Loops

    /// The loop for a request, started when first needed. nil if no thread could be had.
    func carrier(mayWaitForEver: Bool) -> Carrier<Request>? {
        let place = mayWaitForEver ? state.pointee.streams : state.pointee.files
        if let running = Self.running(place) { return running }
        state.pointee.startLock.lock()
        defer { state.pointee.startLock.unlock() }
        if let running = Self.running(place) { return running }
        // What waits on streams holds a place each, and as many descriptors may do so as a process has.
        guard let started = try? Carrier<Request>.startChosen(queueDepth: mayWaitForEver ? 16_000 : 1024) else {
            return nil
        }
        place.pointee.store(UInt(bitPattern: Unmanaged.passRetained(started.carrier).toOpaque()), ordering: .releasing)
        return started.carrier
    }

    /// The same for the caller's descriptors. nil as well if these have no numbers there.
    func carrierForCaller(mayWaitForEver: Bool) -> Carrier<Request>? {
        guard let carrier = carrier(mayWaitForEver: mayWaitForEver), carrier.knowsCallersFiles else { return nil }
        return carrier
    }

    /// The loop for files, if it has been started and the caller's descriptors have numbers there.
    @inline(__always)
    var runningFiles: Carrier<Request>? {
        guard let running = Self.running(state.pointee.files), running.knowsCallersFiles else { return nil }
        return running
    }

    /// Hands requests over whose turn it is. Without the lock.
    func carry(_ ready: inout RequestChain) {
        while let request = ready.popFirst() { carry(request) }
    }

    @inline(__always)
    func carry(_ request: RequestPointer) {
        // It is there: it was started before the request was begun.
        let place = request.pointee.mayWaitForEver ? state.pointee.streams : state.pointee.files
        Self.running(place)?.carry(request)
    }

    @inline(__always)
    static func running(_ place: UnsafeMutablePointer<Atomic<UInt>>) -> Carrier<Request>? {
        // Acquire: the carrier was made before it was stored. It is never given up.
        UnsafeRawPointer(bitPattern: place.pointee.load(ordering: .acquiring)).map {
            Unmanaged<Carrier<Request>>.fromOpaque($0).takeUnretainedValue()
        }
    }
}

struct LibraryState: ~Copyable {
    let lock = Lock()
    let guarded: UnsafeMutablePointer<Guarded>
    let requests: PoolDirectory<Request>
    /// The number of the last request that was begun.
    let sequence: UnsafeMutablePointer<Atomic<UInt64>>
    let suspension: Suspension
    let guesses: UnsafeMutablePointer<FileGuess>
    let startLock = Lock()
    /// The loop for files and, apart from it, the one for what may wait for ever: addresses, 0 until they are started.
    let files: UnsafeMutablePointer<Atomic<UInt>>
    let streams: UnsafeMutablePointer<Atomic<UInt>>

    static var guessCount: Int { 64 }

    /// Touched under the lock.
    struct Guarded: ~Copyable {
        var requests: Pool<Request>
        var order: FileOrder
        var lists: Pool<RequestList>
        var notices: Pool<di_notice>
    }

    static func make() -> UnsafeMutablePointer<LibraryState>? {
        guard let state = LibraryState(), let place = mappedMemory(of: LibraryState.self, 1) else { return nil }
        place.initialize(to: state)
        return place
    }

    private init?() {
        guard let requests = Pool<Request>(), let order = FileOrder(), let lists = Pool<RequestList>(),
            let notices = Pool<di_notice>(), let suspension = Suspension(),
            let guarded = mappedMemory(of: Guarded.self, 1),
            // Zeros: as they begin.
            let words = mappedMemory(of: Atomic<UInt64>.self, 1), let loops = mappedMemory(of: Atomic<UInt>.self, 2),
            let guesses = mappedMemory(of: FileGuess.self, Self.guessCount)
        else { return nil }
        self.requests = requests.directory
        guarded.initialize(to: Guarded(requests: requests, order: order, lists: lists, notices: notices))
        self.guarded = guarded
        self.suspension = suspension
        self.guesses = guesses
        sequence = words
        files = loops
        streams = loops + 1
    }
}

/// See last_thread.h. Requests end and are told of before the process does, as libc's threads see to it.
@c(drop_in_has_nothing_in_flight)
func hasNothingInFlight() -> Bool {
    guard let library = Library.existing() else { return true }
    return library.locked { $0.pointee.requests.useCount == 0 && $0.pointee.notices.useCount == 0 }
}
