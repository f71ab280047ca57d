internal import CKernel
internal import Synchronization

/// A context of the kernel's Linux AIO, and the control blocks of its operations. It has one owner; one thread at a
/// time uses it.
struct LinuxAIOContext: ~Copyable {
    /// How far an operation has come.
    private enum State: UInt8, BitwiseCopyable {
        case absent, batched, submitted, cancelling
    }

    private struct Place: BitwiseCopyable {
        var block = ck_iocb()
        var operation = Operation.nop
        var token = Token(rawValue: .max)
        var state = State.absent
    }

    private let id: UInt
    /// The eventfd that completions signal.
    private(set) var event: OwnedDescriptor
    /// By slot: the kernel identifies an operation by its control block's address.
    private let places: UnsafeMutablePointer<Place>
    private let batch: UnsafeMutableBufferPointer<UnsafeMutablePointer<ck_iocb>?>
    private var batchCount = 0
    private var submittedOfBatch = 0
    private let events: UnsafeMutableBufferPointer<ck_io_event>
    /// Events fetched and not yet taken.
    private var fetched = 0..<0
    /// Operations with the kernel.
    private(set) var submittedCount = 0

    init(_ configuration: EngineConfiguration) throws(EngineFailure) {
        let event = try OwnedDescriptor(Kernel.eventDescriptor(), .linuxAIO, .descriptors)
        id = try Self.setUp(configuration.queueDepth)
        self.event = event
        let count = configuration.placeCount
        places = .allocate(capacity: count)
        places.initialize(repeating: Place(), count: count)
        batch = .allocate(capacity: count)
        batch.initialize(repeating: nil)
        // What one io_getevents(2) takes; it is called again for the rest.
        events = .allocate(capacity: min(count, 256))
    }

    /// Creates a context. All contexts of the system share one limit (fs.aio-max-nr), so the size is limited to what is
    /// useful, and halved where little is left. The kernel refuses operations beyond it, and a worker executes them.
    private static func setUp(_ depth: Int) throws(EngineFailure) -> UInt {
        var size = min(depth, Self.largestSize)
        while true {
            var id: UInt = 0
            let made = Kernel.linuxAIOSetup(UInt32(size), &id)
            if made >= 0 { return id }
            guard made == -Int(EAGAIN), size > leastSize else {
                throw EngineFailure(engine: .linuxAIO, step: .linuxAIOSetup, errno: Int32(-made))
            }
            size /= 2
        }
    }

    /// About as many operations as the queue of one device takes, and as few as are still worth a context.
    private static var largestSize: Int { 1024 }
    private static var leastSize: Int { 32 }

    deinit {
        // Waits for the kernel's operations; polls are cancelled.
        Kernel.linuxAIODestroy(id)
        places.deallocate()
        batch.deallocate()
        events.deallocate()
    }

    /// Called when the program has probably closed the eventfd: creates another, which later completions signal. False
    /// if it cannot be created.
    mutating func renewEvent() -> Bool {
        guard let made = try? OwnedDescriptor(Kernel.eventDescriptor(), .linuxAIO, .descriptors) else { return false }
        event = made
        return true
    }

    // MARK: Down

    /// Adds an operation to the next batch. `block` lacks the fields that all operations share.
    mutating func add(_ operation: Operation, _ token: Token, _ block: ck_iocb) {
        let place = places + Int(token.slot)
        place.initialize(to: Place(block: block, operation: operation, token: token, state: .batched))
        place.pointee.block.data = UInt64(token.slot)
        place.pointee.block.flags |= CK_IOCB_FLAG_RESFD
        place.pointee.block.event_descriptor = UInt32(bitPattern: event.number)
        batch[batchCount] = Self.block(place)
        batchCount += 1
    }

    /// Submits the batch, up to the first operation that the kernel refuses, and returns that one to the caller. nil
    /// once all are submitted.
    mutating func submit() -> (Operation, Token)? {
        while submittedOfBatch < batchCount {
            let rest = UnsafeMutableBufferPointer(rebasing: batch[submittedOfBatch..<batchCount])
            guard let base = rest.baseAddress else { break }
            let taken = Kernel.linuxAIOSubmit(id, rest.count, base)
            guard taken > 0 else {
                let place = place(of: rest[0])
                place.pointee.state = .absent
                submittedOfBatch += 1
                return (place.pointee.operation, place.pointee.token)
            }
            for block in rest[..<taken] { place(of: block).pointee.state = .submitted }
            submittedCount += taken
            submittedOfBatch += taken
        }
        batchCount = 0
        submittedOfBatch = 0
        return nil
    }

    /// The outcome of a cancel request.
    enum Cancelling { case unknown, withdrawn, asked }

    /// Withdraws an operation that is not submitted yet; cancels a submitted poll, the only kind that the kernel can
    /// cancel.
    mutating func requestCancel(_ token: Token) -> Cancelling {
        let place = places + Int(token.slot)
        guard place.pointee.token == token else { return .unknown }
        switch place.pointee.state {
        case .absent: return .unknown
        case .batched:
            var kept = 0
            for index in 0..<batchCount where batch[index] != Self.block(place) {
                batch[kept] = batch[index]
                kept += 1
            }
            batchCount = kept
            place.pointee.state = .absent
            return .withdrawn
        case .submitted:
            guard case .poll = place.pointee.operation else { return .asked }
            place.pointee.state = .cancelling
            var unused = ck_io_event()
            // EINPROGRESS: its event follows as usual. EINVAL: it has completed.
            _ = Kernel.linuxAIOCancel(id, Self.block(place), &unused)
            return .asked
        case .cancelling: return .asked
        }
    }

    // MARK: Up

    /// Takes the oldest completed operation, with its result.
    mutating func popEvent() -> (Operation, Token, Int)? {
        if fetched.isEmpty { fetch() }
        guard let index = fetched.popFirst() else { return nil }
        let event = events[index]
        let place = places + Int(truncatingIfNeeded: event.data)
        let isCancelled = place.pointee.state == .cancelling && event.result == 0
        place.pointee.state = .absent
        submittedCount -= 1
        return (place.pointee.operation, place.pointee.token, isCancelled ? -Int(ECANCELED) : Int(event.result))
    }

    private mutating func fetch() {
        guard submittedCount > 0, hasEvents, let base = events.baseAddress else { return }
        let count = Kernel.linuxAIOGetEvents(id, 0, events.count, UInt(bitPattern: base), 0, mask: 0)
        fetched = 0..<max(count, 0)
    }

    /// Whether the completion ring has events. A context's id is the address of that ring, whose head and tail are
    /// readable without a system call.
    private var hasEvents: Bool {
        guard let ring = UnsafePointer<LinuxAIORingHeader>(bitPattern: id) else { return false }
        // Relaxed: the counters are only compared; io_getevents(2) reads the events.
        return ring.pointee.head.load(ordering: .relaxed) != ring.pointee.tail.load(ordering: .relaxed)
    }

    private static func block(_ place: UnsafeMutablePointer<Place>) -> UnsafeMutablePointer<ck_iocb> {
        // `block` is the first field of a place.
        UnsafeMutableRawPointer(place).assumingMemoryBound(to: ck_iocb.self)
    }

    private func place(of block: UnsafeMutablePointer<ck_iocb>?) -> UnsafeMutablePointer<Place> {
        places + Int(truncatingIfNeeded: block?.pointee.data ?? 0)
    }
}

/// The header of the kernel's struct aio_ring, which is ABI.
private struct LinuxAIORingHeader: ~Copyable {
    let id: UInt32
    let capacity: UInt32
    let head: Atomic<UInt32>
    let tail: Atomic<UInt32>
}
