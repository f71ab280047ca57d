internal import AIOCore
internal import CDropIns

/// Which requests may run, and which wait for others on the same descriptor. A pure data structure that makes no calls.
/// It is used under the library's lock.
///
/// Reads and writes of a file run side by side. Reads of a stream run one after the other, and so do writes to a stream
/// and appends to a file (O_APPEND): POSIX requires call order there, and the kernel promises none between operations
/// in flight. The two directions are independent.
///
/// A sync runs once all requests that it covers are done. It closes an epoch of its descriptor, and waits for the
/// requests of that epoch and of earlier ones.
struct FileOrder: ~Copyable {
    private var files: Pool<OpenFile>
    /// A hash table by descriptor, with chained buckets.
    private let buckets: UnsafeMutablePointer<UnsafeMutablePointer<OpenFile>?>
    private static var bucketCount: Int { 1024 }

    init?() {
        guard let files = Pool<OpenFile>(),
            // Zeroed: no file.
            let buckets = mappedMemory(of: UnsafeMutablePointer<OpenFile>?.self, Self.bucketCount)
        else { return nil }
        self.files = files
        self.buckets = buckets
    }

    // MARK: The life of a request

    enum Entering { case runs, waits, noMemory }

    /// Enters a request. If it runs, the caller starts it. If it waits, a later `finish` of another request appends it
    /// to `ready`.
    mutating func enter(_ request: RequestPointer, on name: FileName) -> Entering {
        guard let file = find(name) ?? make(name) else { return .noMemory }
        request.pointee.place.file = file
        file.pointee.all.append(request)
        let waits =
            switch request.pointee.place.lane {
            case .parallel: false
            case .reading: file.pointee.reading.enter(request)
            case .writing: file.pointee.writing.enter(request)
            case .syncing: file.pointee.beginSync(request)
            }
        request.pointee.place.change(to: waits ? .waiting : .running)
        if request.pointee.place.isCovered {
            assert(request.pointee.place.lane != .syncing, "a sync waits for itself")
            request.pointee.place.epoch = file.pointee.epoch
            file.pointee.openCount += 1
        }
        return waits ? .waits : .runs
    }

    /// Ends a request that ran, or one that waits and is not to run; `result` is how it ends. Requests whose turn has
    /// come are appended to `ready`, and the caller starts them.
    mutating func finish(_ request: RequestPointer, _ result: Int, into ready: inout RequestChain) {
        assert(request.pointee.place.file != nil, "the request has ended already")
        guard let file = request.pointee.place.file else { return }
        request.pointee.place.file = nil
        file.pointee.all.remove(request)
        let isWaiting = request.pointee.place.isWaiting
        request.pointee.place.change(to: .none)
        switch request.pointee.place.lane {
        case .parallel: break
        case .reading: file.pointee.reading.leave(request, isWaiting, into: &ready)
        case .writing: file.pointee.writing.leave(request, isWaiting, into: &ready)
        case .syncing: if isWaiting { file.pointee.withdrawSync(request) }
        }
        if request.pointee.place.isCovered { file.pointee.uncover(request, result) }
        file.pointee.startSyncs(into: &ready)
        if file.pointee.all.isEmpty { remove(file) }
    }

    // MARK: Files

    /// The file, with all of its requests. nil if it has none.
    func find(_ name: FileName) -> UnsafeMutablePointer<OpenFile>? {
        var file = buckets[Self.bucket(name)]
        while let candidate = file, candidate.pointee.name != name { file = candidate.pointee.nextFree }
        return file
    }

    private mutating func make(_ name: FileName) -> UnsafeMutablePointer<OpenFile>? {
        assert(find(name) == nil, "the file has an order already")
        guard let file = files.acquire() else { return nil }
        let bucket = Self.bucket(name)
        file.pointee = OpenFile(name)
        file.pointee.nextFree = buckets[bucket]
        buckets[bucket] = file
        return file
    }

    private mutating func remove(_ file: UnsafeMutablePointer<OpenFile>) {
        assert(find(file.pointee.name) == file, "the file is in no bucket, or twice in one")
        assert(!file.pointee.reading.isBusy && !file.pointee.writing.isBusy, "a file without requests is busy")
        assert(file.pointee.syncs.isEmpty && file.pointee.openCount == 0, "a file without requests has some counted")
        let bucket = Self.bucket(file.pointee.name)
        if buckets[bucket] == file {
            buckets[bucket] = file.pointee.nextFree
        } else {
            var before = buckets[bucket]
            while let candidate = before, candidate.pointee.nextFree != file { before = candidate.pointee.nextFree }
            before?.pointee.nextFree = file.pointee.nextFree
        }
        files.release(file)
    }

    private static func bucket(_ name: FileName) -> Int {
        Int(UInt32(bitPattern: name.descriptor)) & (bucketCount - 1)
    }
}

/// Identifies the requests that share an order: the descriptor, and the file that it refers to. After a close the
/// number may refer to another file, whose requests are independent.
struct FileName: BitwiseCopyable, Equatable {
    var descriptor: Int32
    var file: FileIdentity
}

/// A descriptor that has requests.
struct OpenFile: Pooled {
    let name: FileName
    /// All of its requests, in call order.
    fileprivate(set) var all = RequestChain(.ofFile)
    fileprivate var reading = Direction()
    fileprivate var writing = Direction()
    /// Waiting syncs, in call order.
    fileprivate var syncs = RequestChain(.ofLane)
    /// The number of syncs begun so far.
    fileprivate var epoch: UInt32 = 0
    /// The number of unfinished covered requests since the last sync.
    fileprivate var openCount = 0
    /// The next file in the bucket, or in the free list.
    var nextFree: UnsafeMutablePointer<OpenFile>?

    fileprivate init(_ name: FileName) { self.name = name }

    static func initialize(_ place: UnsafeMutablePointer<OpenFile>, index: Int32) {
        place.initialize(to: OpenFile(FileName(descriptor: -1, file: FileIdentity())))
    }

    /// Runs one request at a time, in call order.
    fileprivate struct Direction: BitwiseCopyable {
        var isBusy = false
        var waiting = RequestChain(.ofLane)

        /// Returns whether the request has to wait.
        mutating func enter(_ request: RequestPointer) -> Bool {
            assert(isBusy || waiting.isEmpty, "requests wait for none that runs")
            if isBusy { waiting.append(request) }
            defer { isBusy = true }
            return isBusy
        }

        mutating func leave(_ request: RequestPointer, _ isWaiting: Bool, into ready: inout RequestChain) {
            assert(isBusy, "a request leaves a direction in which none runs")
            guard !isWaiting else { return waiting.remove(request) }
            guard let next = waiting.popFirst() else {
                isBusy = false
                return
            }
            next.pointee.place.change(to: .running)
            ready.append(next)
        }
    }

    // MARK: Syncs

    /// Closes the epoch. Returns whether the sync has to wait.
    fileprivate mutating func beginSync(_ sync: RequestPointer) -> Bool {
        assert(openCount >= 0, "more requests are done than were covered")
        sync.pointee.place.epoch = epoch
        sync.pointee.place.coveredCount = openCount
        sync.pointee.place.failure = 0
        epoch &+= 1
        openCount = 0
        guard sync.pointee.place.coveredCount > 0 || !syncs.isEmpty else { return false }
        syncs.append(sync)
        return true
    }

    /// Called when a covered request is done. The first sync after it has one request less to wait for. All syncs after
    /// it get the error of a failed write, since POSIX wants a sync to return it.
    fileprivate mutating func uncover(_ request: RequestPointer, _ result: Int) {
        guard let sync = firstSync(from: request.pointee.place.epoch) else {
            assert(openCount > 0, "more requests are done than were covered")
            openCount -= 1
            return
        }
        assert(sync.pointee.place.coveredCount > 0, "more requests are done than the sync covers")
        sync.pointee.place.coveredCount -= 1
        guard request.pointee.isWrite, result < 0, result != -Int(ECANCELED) else { return }
        var later: RequestPointer? = sync
        while let current = later {
            if current.pointee.place.failure == 0 { current.pointee.place.failure = Int32(truncatingIfNeeded: -result) }
            later = syncs.after(current)
        }
    }

    /// Removes a waiting sync. The next one waits for the requests that this one waited for.
    fileprivate mutating func withdrawSync(_ sync: RequestPointer) {
        syncs.remove(sync)
        if let next = firstSync(from: sync.pointee.place.epoch) {
            next.pointee.place.coveredCount += sync.pointee.place.coveredCount
        } else {
            openCount += sync.pointee.place.coveredCount
        }
    }

    /// Starts the syncs that have nothing left to wait for.
    fileprivate mutating func startSyncs(into ready: inout RequestChain) {
        while let sync = syncs.first, sync.pointee.place.coveredCount == 0 {
            syncs.remove(sync)
            sync.pointee.place.change(to: .running)
            ready.append(sync)
        }
    }

    /// The first waiting sync that closed this epoch or a later one. Epoch numbers may wrap around.
    private func firstSync(from epoch: UInt32) -> RequestPointer? {
        var sync = syncs.first
        while let candidate = sync, Int32(bitPattern: candidate.pointee.place.epoch &- epoch) < 0 {
            sync = syncs.after(candidate)
        }
        return sync
    }
}
