internal import AIOCore

/// A directory between the root of a walk and where the walk is.
struct WalkLevel {
    let reading: DirectoryReading
    /// Of the entries in it.
    let depth: Int
    /// The batch that the walk is in, and the entry that is next.
    private var entries: [DirectoryEntry] = []
    private var index = 0
    /// The batch after it, on its way.
    private(set) var nextBatch: DirectoryAhead?
    /// Directories of this batch that are read before their turn, by their index. Few.
    private var ahead: [(index: Int, directory: DirectoryAhead)] = []
    /// The first entry that was not looked at for that.
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

    /// Has the next batch read, if there is one.
    mutating func readOn(_ runtime: IORuntime) {
        if !reading.isAtEnd, nextBatch == nil { nextBatch = DirectoryAhead(reading, runtime) }
    }

    /// Whether nothing comes after this batch. One that is on its way may have found the end already, and is not taken.
    var isRead: Bool { nextBatch == nil && reading.isAtEnd }

    /// The next entry, and the directory it stands for if that is being read already.
    mutating func next() -> (DirectoryEntry, DirectoryAhead?)? {
        guard index < entries.count else { return nil }
        defer { index += 1 }
        guard let first = ahead.first, first.index == index else { return (entries[index], nil) }
        ahead.removeFirst()
        return (entries[index], first.directory)
    }

    /// The next directory to be read before its turn.
    mutating func nextToRead() -> (index: Int, name: Path)? {
        lookedAt = max(lookedAt, index)
        while lookedAt < entries.count {
            defer { lookedAt += 1 }
            if entries[lookedAt].type == .directory { return (lookedAt, entries[lookedAt].name) }
        }
        return nil
    }

    mutating func add(_ directory: DirectoryAhead, at index: Int) { ahead.append((index, directory)) }

    /// All that is on its way.
    var allAhead: [DirectoryAhead] { ahead.map(\.directory) + (nextBatch.map { [$0] } ?? []) }
}
