/// The position of a request among those of its descriptor: see `FileOrder`.
struct Place: BitwiseCopyable {
    /// The order that it is subject to.
    enum Lane: UInt8, BitwiseCopyable {
        /// A read or write of a file. Runs side by side with all others.
        case parallel
        /// A read of a stream. One at a time.
        case reading
        /// A write to a stream, or an append to a file. One at a time.
        case writing
        /// A sync. Runs once the requests before it are done.
        case syncing
    }

    /// Whether it has its turn.
    enum Turn: UInt8, BitwiseCopyable {
        /// In no order: not entered yet, or ended.
        case none
        case waiting
        /// It has its turn, and is carried or about to be.
        case running

        /// The permitted transitions.
        fileprivate func mayBecome(_ next: Turn) -> Bool {
            switch self {
            case .none: next != .none
            case .waiting: next != .waiting
            case .running: next == .none
            }
        }
    }

    struct Links: BitwiseCopyable {
        var previous: RequestPointer?
        var next: RequestPointer?
    }

    var lane = Lane.parallel
    private(set) var turn = Turn.none
    /// Whether later syncs wait for it.
    var isCovered = false
    /// For a covered request, the number of syncs on the file before it. For a sync, the number of syncs before it.
    var epoch: UInt32 = 0
    /// For a sync: how many requests it still waits for, besides those of the syncs before it.
    var coveredCount = 0
    /// For a sync: the error of a failed request that it covers; 0 if there is none.
    var failure: Int32 = 0
    var file: UnsafeMutablePointer<OpenFile>?
    fileprivate var inFile = Links()
    fileprivate var inLane = Links()

    var isWaiting: Bool { turn == .waiting }

    /// The only place that changes the turn.
    mutating func change(to next: Turn) {
        assert(turn.mayBecome(next), "not a successor of the turn of the request")
        turn = next
    }
}

/// An intrusive list of requests: all of a file, or those that wait for their turn or are ready to be carried.
struct RequestChain: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable { case ofFile, ofLane }

    private let kind: Kind
    private(set) var first: RequestPointer?
    private var last: RequestPointer?

    init(_ kind: Kind) { self.kind = kind }

    var isEmpty: Bool { first == nil }

    mutating func append(_ request: RequestPointer) {
        assert(first != request && last != request, "the request is in the chain already")
        request[kind] = Place.Links(previous: last, next: nil)
        if let last { last[kind].next = request } else { first = request }
        last = request
    }

    mutating func remove(_ request: RequestPointer) {
        let links = request[kind]
        assert((links.previous == nil) == (first == request), "the request is in no chain, or in another")
        assert((links.next == nil) == (last == request), "the request is in no chain, or in another")
        if let previous = links.previous { previous[kind].next = links.next } else { first = links.next }
        if let next = links.next { next[kind].previous = links.previous } else { last = links.previous }
    }

    mutating func popFirst() -> RequestPointer? {
        guard let request = first else { return nil }
        remove(request)
        return request
    }

    func after(_ request: RequestPointer) -> RequestPointer? { request[kind].next }
}

extension RequestPointer {
    fileprivate subscript(kind: RequestChain.Kind) -> Place.Links {
        get { kind == .ofFile ? pointee.place.inFile : pointee.place.inLane }
        nonmutating set {
            if kind == .ofFile { pointee.place.inFile = newValue } else { pointee.place.inLane = newValue }
        }
    }
}
