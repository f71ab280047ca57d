internal import AIOCore

/// A directory between the root of a walk and the current entry.
struct WalkLevel {
    let reading: DirectoryReading
    /// The depth of its entries.
    let depth: Int
    /// The current batch, and the index of the next entry.
    private var entries: [DirectoryEntry] = []
    private var index = 0
    /// The batch after it, in flight.
    private(set) var nextBatch: DirectoryAhead?
    /// Directories of this batch that are read ahead, with their indices. Few.
    private var ahead: [(index: Int, directory: DirectoryAhead)] = []
    /// The index of the first entry that was not considered for readahead.
    private var lookedAt = 0

    init(_ reading: DirectoryReading, depth: Int, _ entries: [DirectoryEntry]) {
        self.reading = reading
        self.depth = depth
        take(entries)
    }

    var aheadCount: Int { ahead.count }

    mutating func take(_ batch: [DirectoryEntry]) {
        entries = batch
        (index, lookedAt, nextBatch) = (0, 0, nil)
    }

    /// Starts to read the next batch, if there is one.
    mutating func readOn(_ runtime: IORuntime) {
        // In this order: a batch in flight may be setting `isAtEnd`.
        if nextBatch == nil, !reading.isAtEnd { nextBatch = DirectoryAhead(reading, runtime) }
    }

    /// Whether nothing follows this batch. A batch in flight may have found the end already, and must still be taken.
    var isRead: Bool { nextBatch == nil && reading.isAtEnd }

    /// The next entry, with its directory if that is read ahead.
    mutating func next() -> (DirectoryEntry, DirectoryAhead?)? {
        guard index < entries.count else { return nil }
        defer { index += 1 }
        guard let first = ahead.first, first.index == index else { return (entries[index], nil) }
        ahead.removeFirst()
        return (entries[index], first.directory)
    }

    /// The next directory to read ahead.
    mutating func nextToRead() -> (index: Int, name: Path)? {
        lookedAt = max(lookedAt, index)
        while lookedAt < entries.count {
            defer { lookedAt += 1 }
            if entries[lookedAt].type == .directory { return (lookedAt, entries[lookedAt].name) }
        }
        return nil
    }

    mutating func add(_ directory: DirectoryAhead, at index: Int) { ahead.append((index, directory)) }

    /// Everything in flight.
    var allAhead: [DirectoryAhead] { ahead.map(\.directory) + (nextBatch.map { [$0] } ?? []) }
}
