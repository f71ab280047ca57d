internal import CKernel
internal import Synchronization

/// A context of the kernel's Linux AIO, and the control blocks of what it carries out. One owner, one thread at a time.
struct LinuxAIOContext: ~Copyable {
    /// Where an operation stands with the kernel.
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
    /// What completions signal.
    private(set) var event: OwnedDescriptor
    /// By slot: the kernel knows an operation by its block's address.
    private let places: UnsafeMutablePointer<Place>
    private let batch: UnsafeMutableBufferPointer<UnsafeMutablePointer<ck_iocb>?>
    private var batchCount = 0
    private var submittedOfBatch = 0
    private let events: UnsafeMutableBufferPointer<ck_io_event>
    /// Those fetched and not yet taken.
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
        events = .allocate(capacity: min(count, 256))
    }

    /// All contexts of the system share one limit (fs.aio-max-nr). So a context is no larger than is of use, and smaller
    /// where little is left: what finds no room there the kernel refuses, and a worker carries it out.
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

    private static var largestSize: Int { 1024 }
    private static var leastSize: Int { 32 }

    deinit {
        // Waits for what the kernel still has; polls it drops.
        Kernel.linuxAIODestroy(id)
        places.deallocate()
        batch.deallocate()
        events.deallocate()
    }

    /// The program has closed the eventfd, most likely: from here on completions signal another. False without one.
    mutating func renewEvent() -> Bool {
        guard let made = try? OwnedDescriptor(Kernel.eventDescriptor(), .linuxAIO, .descriptors) else { return false }
        event = made
        return true
    }

    // MARK: Down

    /// Takes an operation for the next batch. `block` lacks what all have in common.
    mutating func add(_ operation: Operation, _ token: Token, _ block: ck_iocb) {
        let place = places + Int(token.slot)
        place.initialize(to: Place(block: block, operation: operation, token: token, state: .batched))
        place.pointee.block.data = UInt64(token.slot)
        place.pointee.block.flags |= CK_IOCB_FLAG_RESFD
        place.pointee.block.event_descriptor = UInt32(bitPattern: event.number)
        batch[batchCount] = Self.block(place)
        batchCount += 1
    }

    /// Hands the batch to the kernel, up to the first operation that the kernel does not take: that one, which is the
    /// caller's again. nil when all are handed over.
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

    /// What became of a request to end an operation.
    enum Cancelling { case unknown, withdrawn, asked }

    /// Takes back what is not with the kernel yet; asks the kernel to end a poll, which is all that it can end.
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
            // EINPROGRESS: its event comes as ever. EINVAL: it has come.
            _ = Kernel.linuxAIOCancel(id, Self.block(place), &unused)
            return .asked
        case .cancelling: return .asked
        }
    }

    // MARK: Up

    /// Takes the oldest operation that the kernel has completed, with its result.
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

    /// The context's name is the address of its ring, of which head and tail tell without a call.
    private var hasEvents: Bool {
        guard let ring = UnsafePointer<LinuxAIORingHeader>(bitPattern: id) else { return false }
        return ring.pointee.head.load(ordering: .relaxed) != ring.pointee.tail.load(ordering: .relaxed)
    }

    private static func block(_ place: UnsafeMutablePointer<Place>) -> UnsafeMutablePointer<ck_iocb> {
        // The first of its fields.
        UnsafeMutableRawPointer(place).assumingMemoryBound(to: ck_iocb.self)
    }

    private func place(of block: UnsafeMutablePointer<ck_iocb>?) -> UnsafeMutablePointer<Place> {
        places + Int(truncatingIfNeeded: block?.pointee.data ?? 0)
    }
}

/// The beginning of the kernel's struct aio_ring, which is ABI.
private struct LinuxAIORingHeader: ~Copyable {
    let id: UInt32
    let capacity: UInt32
    let head: Atomic<UInt32>
    let tail: Atomic<UInt32>
}
