/// Where a request stands among those of its descriptor: see `FileOrder`.
struct Place: BitwiseCopyable {
    /// What it goes by.
    enum Lane: UInt8, BitwiseCopyable {
        /// A file's reads and writes: side by side with all others.
        case parallel
        /// What a stream gives: one after the other.
        case reading
        /// What a stream takes, and what goes to the end of a file: one after the other.
        case writing
        /// A sync: once all before it is done.
        case syncing
    }

    struct Links: BitwiseCopyable {
        var previous: RequestPointer?
        var next: RequestPointer?
    }

    var lane = Lane.parallel
    /// Whether its turn has not come yet.
    var isWaiting = false
    /// Whether syncs that come later wait for it.
    var isCovered = false
    /// Of a covered request: the number of syncs on the file before it. Of a sync: the number of those before it.
    var epoch: UInt32 = 0
    /// Of a sync: what it still waits for, besides the syncs before it.
    var coveredCount = 0
    /// Of a sync: the error with which something that it covers has failed; 0 if nothing has.
    var failure: Int32 = 0
    var file: UnsafeMutablePointer<OpenFile>?
    fileprivate var inFile = Links()
    fileprivate var inLane = Links()
}

/// A list of requests, linked through themselves: all of a file, or those that wait for their turn or to be carried.
struct RequestChain: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable { case ofFile, ofLane }

    private let kind: Kind
    private(set) var first: RequestPointer?
    private var last: RequestPointer?

    init(_ kind: Kind) { self.kind = kind }

    var isEmpty: Bool { first == nil }

    mutating func append(_ request: RequestPointer) {
        request[kind] = Place.Links(previous: last, next: nil)
        if let last { last[kind].next = request } else { first = request }
        last = request
    }

    mutating func remove(_ request: RequestPointer) {
        let links = request[kind]
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
