internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// A handle of the library in this process.
struct Library: BitwiseCopyable {
    let state: UnsafeMutablePointer<LibraryState>

    /// The library, created at the first call. nil without memory.
    @inline(__always)
    static func shared() -> Library? {
        ProcessState.object { LibraryState.make() }.map(Library.init)
    }

    /// The library if this process has used it. A forked child has not.
    @inline(__always)
    static func existing() -> Library? {
        ProcessState.existing().map { (state: UnsafeMutablePointer<LibraryState>) in Library(state: state) }
    }

    private init(state: UnsafeMutablePointer<LibraryState>) { self.state = state }

    /// Runs `body` under the lock. `body` must not send a signal or hand work to a loop.
    @inline(__always)
    func locked<R>(_ body: (UnsafeMutablePointer<LibraryState.Guarded>) -> R) -> R {
        state.pointee.lock.lock()
        defer { state.pointee.lock.unlock() }
        return body(state.pointee.guarded)
    }

    /// The guess for a descriptor. Several descriptors may share one.
    @inline(__always)
    func guess(_ descriptor: Int32) -> UnsafeMutablePointer<FileGuess> {
        state.pointee.guesses + Int(UInt32(bitPattern: descriptor)) % LibraryState.guessCount
    }

    /// The watch of the request of a control block in progress. nil if the block was never submitted or its request has
    /// ended. No field of the block is trusted. Async-signal-safe.
    @inline(__always)
    func watch(of block: ControlBlock) -> UnsafeMutablePointer<Watch>? {
        guard let watch = state.pointee.requests.element(block.index)?.watch,
            // Acquire: pairs with the release that began the request for this block.
            watch.pointee.block.load(ordering: .acquiring) == UInt(bitPattern: block.address)
        else { return nil }
        return watch
    }

    // MARK: Loops

    /// The loop for a request, started on first use. nil if it cannot be started.
    func carrier(mayWaitForEver: Bool) -> Carrier<Request>? {
        let place = mayWaitForEver ? state.pointee.streams : state.pointee.files
        if let running = Self.running(place) { return running }
        state.pointee.startLock.lock()
        defer { state.pointee.startLock.unlock() }
        if let running = Self.running(place) { return running }
        // A request that waits on a stream occupies a slot, and there may be one for each descriptor of the process.
        guard let started = try? Carrier<Request>.startChosen(queueDepth: mayWaitForEver ? 16_000 : 1024) else {
            return nil
        }
        assert(state.pointee.startLock.isHeld)
        place.pointee.store(UInt(bitPattern: Unmanaged.passRetained(started.carrier).toOpaque()), ordering: .releasing)
        return started.carrier
    }

    /// The same for a request of the caller's. Also nil if the caller has another descriptor table than the loop.
    func carrierForCaller(mayWaitForEver: Bool) -> Carrier<Request>? {
        guard let carrier = carrier(mayWaitForEver: mayWaitForEver), carrier.knowsCallersFiles else { return nil }
        return carrier
    }

    /// The loop for files, if it has been started and shares the caller's descriptor table.
    @inline(__always)
    var runningFiles: Carrier<Request>? {
        guard let running = Self.running(state.pointee.files), running.knowsCallersFiles else { return nil }
        return running
    }

    /// For assertions: whether the loop has been started.
    func isRunning(mayWaitForEver: Bool) -> Bool {
        Self.running(mayWaitForEver ? state.pointee.streams : state.pointee.files) != nil
    }

    /// Without the lock: hands over the requests whose turn has come.
    func carry(_ ready: inout RequestChain) {
        while let request = ready.popFirst() { carry(request) }
    }

    @inline(__always)
    func carry(_ request: RequestPointer) {
        assert(request.pointee.place.turn == .running, "a request is carried before its turn")
        // The loop exists: it was started before the request began.
        let place = request.pointee.mayWaitForEver ? state.pointee.streams : state.pointee.files
        Self.running(place)?.carry(request)
    }

    @inline(__always)
    static func running(_ place: UnsafeMutablePointer<Atomic<UInt>>) -> Carrier<Request>? {
        // Acquire: the carrier was created before its address was stored. It is never released.
        UnsafeRawPointer(bitPattern: place.pointee.load(ordering: .acquiring)).map {
            Unmanaged<Carrier<Request>>.fromOpaque($0).takeUnretainedValue()
        }
    }
}

struct LibraryState: ~Copyable {
    let lock = Lock()
    let guarded: UnsafeMutablePointer<Guarded>
    let requests: PoolDirectory<Request>
    /// The number of the request that was begun last.
    let sequence: UnsafeMutablePointer<Atomic<UInt64>>
    let suspension: Suspension
    let guesses: UnsafeMutablePointer<FileGuess>
    let startLock = Lock()
    /// The addresses of the loop for files and of the separate loop for requests that may wait for ever; 0 until
    /// started.
    let files: UnsafeMutablePointer<Atomic<UInt>>
    let streams: UnsafeMutablePointer<Atomic<UInt>>

    static var guessCount: Int { 64 }

    /// State that is used under the lock.
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
            // Zeroed, as they begin.
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

/// See last_thread.h. As with glibc's threads, requests end and are notified before the process ends.
@c(drop_in_has_nothing_in_flight)
func hasNothingInFlight() -> Bool {
    guard let library = Library.existing() else { return true }
    return library.locked { $0.pointee.requests.useCount == 0 && $0.pointee.notices.useCount == 0 }
}
