/// A block of a file, which is also a page of the page cache.
struct FilePage {
    static let size = 4096
    /// What a device writes as a whole: a crash leaves the old or the new bytes of a sector.
    static let sectorSize = 512

    /// nil: allocated by fallocate(2), and never written.
    var bytes: [UInt8]?
}

/// The content of a regular file: what is in memory, and what may be on the device.
///
/// A value, copied when a change of structure (a truncation, a hole) needs the state before it; pages are shared then.
struct FileImage {
    /// The content as the program sees it. A page that is not here is a hole.
    private(set) var pages: [Int: FilePage] = [:]
    private(set) var size: Int64 = 0

    /// The pages that were written since they were last saved.
    private(set) var unsynced: [Int: UnsyncedPage] = [:]
    /// The size on the device.
    private(set) var savedSize: Int64 = 0
    /// What the device has of pages that are not marked dirty although they differ: a sync failed.
    private(set) var lost: [Int: FilePage] = [:]

    struct UnsyncedPage {
        /// What the device has; nil is a hole.
        let saved: FilePage?
        /// What the page was between two writes. Any of it may have been written back.
        var versions: [FilePage] = []
    }

    /// So many versions of a page are kept.
    private static let versionLimit = 8

    var blockCount: Int { pages.count }
    var pageCountOfSize: Int { Int((size + Int64(FilePage.size) - 1) / Int64(FilePage.size)) }

    // MARK: Reading

    /// Copies from the file. The range must not exceed the size.
    func read(_ target: UnsafeMutableRawBufferPointer, at offset: Int64) {
        Self.forEachPage(offset, target.count) { index, range, start in
            let part = UnsafeMutableRawBufferPointer(rebasing: target[start..<start + range.count])
            if let bytes = pages[index]?.bytes {
                part.copyBytes(from: bytes[range])
            } else {
                part.initializeMemory(as: UInt8.self, repeating: 0)
            }
        }
    }

    /// Whether SEEK_DATA finds the page.
    func isData(_ index: Int) -> Bool { pages[index]?.bytes != nil }

    /// The first page with data from `first` on.
    func firstData(from first: Int) -> Int? {
        // The least of all: independent of the dictionary's order.
        pages.lazy.filter { $0.key >= first && $0.value.bytes != nil }.map(\.key).min()
    }

    // MARK: Writing

    /// Writes, and extends the size where needed.
    mutating func write(_ source: UnsafeRawBufferPointer, at offset: Int64) {
        Self.forEachPage(offset, source.count) { index, range, start in
            change(index) { bytes in
                bytes.withUnsafeMutableBytes { page in
                    UnsafeMutableRawBufferPointer(rebasing: page[range]).copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: source[start..<start + range.count]))
                }
            }
        }
        size = max(size, offset + Int64(source.count))
    }

    /// Writes zeros to those parts of a range that are not holes, as dirty data.
    mutating func writeZeros(_ range: Range<Int64>) {
        let end = min(range.upperBound, Int64(pageCountOfSize * FilePage.size))
        guard range.lowerBound < end else { return }
        Self.forEachPage(range.lowerBound, Int(end - range.lowerBound)) { index, part, _ in
            guard pages[index]?.bytes != nil else { return }
            change(index) { $0.replaceSubrange(part, with: repeatElement(0, count: part.count)) }
        }
    }

    private mutating func change(_ index: Int, _ body: (inout [UInt8]) -> Void) {
        let old = pages[index]
        if unsynced[index] == nil {
            let saved = lost.removeValue(forKey: index) ?? old
            unsynced[index] = UnsyncedPage(saved: saved)
        } else if let old {
            unsynced[index]?.versions.append(old)
            if let count = unsynced[index]?.versions.count, count > Self.versionLimit {
                unsynced[index]?.versions.removeFirst()
            }
        }
        if old?.bytes == nil { pages[index] = FilePage(bytes: [UInt8](repeating: 0, count: FilePage.size)) }
        body(&pages[index]!.bytes!)
    }

    // MARK: Structure: the device has these changes as soon as their transaction is committed

    /// Sets the size. Bytes behind it are gone, in every version: a later extension shows zeros.
    mutating func truncate(to newSize: Int64) {
        if newSize < size {
            let boundary = Int(newSize / Int64(FilePage.size))
            let used = Int(newSize % Int64(FilePage.size))
            let firstGone = used == 0 ? boundary : boundary + 1
            removePages { $0 >= firstGone }
            if used > 0 { clearEverywhere(boundary, from: used) }
        }
        size = newSize
        savedSize = newSize
    }

    /// Makes whole pages holes.
    mutating func makeHoles(_ range: Range<Int>) { removePages { range.contains($0) } }

    /// Allocates the pages of a range that are holes.
    mutating func allocate(_ range: Range<Int>) {
        for index in range where pages[index] == nil { pages[index] = FilePage(bytes: nil) }
    }

    /// fallocate(2) extends the size.
    mutating func extend(to newSize: Int64) {
        size = max(size, newSize)
        savedSize = max(savedSize, newSize)
    }

    /// Moves all pages from `first` on by `distance` pages, and the sizes with them. ext4 and XFS write them back
    /// before (ext4_collapse_range, xfs_prepare_shift).
    mutating func shift(from first: Int, by distance: Int) {
        saveUnallocated()
        if distance < 0 { removePages { $0 >= first + distance && $0 < first } }
        unsynced = unsynced.filter { $0.key < first }
        pages = Self.shifted(pages, first, distance)
        unsynced = Self.shifted(unsynced, first, distance)
        lost = Self.shifted(lost, first, distance)
        size += Int64(distance * FilePage.size)
        savedSize = size
    }

    private static func shifted<Value>(_ old: [Int: Value], _ first: Int, _ distance: Int) -> [Int: Value] {
        Dictionary(uniqueKeysWithValues: old.map { ($0 >= first ? $0 + distance : $0, $1) })
    }

    private mutating func removePages(where isGone: (Int) -> Bool) {
        pages = pages.filter { !isGone($0.key) }
        unsynced = unsynced.filter { !isGone($0.key) }
        lost = lost.filter { !isGone($0.key) }
    }

    private mutating func clearEverywhere(_ index: Int, from start: Int) {
        pages[index]?.clear(from: start)
        if let old = unsynced[index] {
            var saved = old.saved
            saved?.clear(from: start)
            var versions = old.versions
            for version in versions.indices { versions[version].clear(from: start) }
            unsynced[index] = UnsyncedPage(saved: saved, versions: versions)
        }
        lost[index]?.clear(from: start)
    }

    // MARK: Saving

    /// Everything is on the device.
    mutating func save() {
        unsynced = [:]
        savedSize = size
    }

    /// A sync failed: some of the dirty sectors were written. The pages are marked clean, so no later sync writes them.
    mutating func failToSave(choosing random: inout SimulatedRandom) {
        for index in unsynced.keys.sorted() {
            guard let page = unsynced[index], let current = pages[index] else { continue }
            var saved = page.saved
            for sector in 0..<FilePage.size / FilePage.sectorSize where random.oneIn(2) {
                saved.copySector(sector, of: current)
            }
            lost[index] = saved ?? FilePage(bytes: nil)
        }
        unsynced = [:]
    }

    /// The page cache drops a clean page: what the device has is read next.
    mutating func evict(_ index: Int) {
        if let saved = lost.removeValue(forKey: index) { pages[index] = saved }
    }

    /// Whether there is data that has no blocks on the device yet (delayed allocation), or is behind the saved size.
    var hasUnallocated: Bool { unsynced.contains { isUnallocated($0.key, $0.value) } }

    private func isUnallocated(_ index: Int, _ page: UnsyncedPage) -> Bool {
        page.saved == nil || Int64((index + 1) * FilePage.size) > savedSize
    }

    /// That data is on the device. Overwritten data need not be: data=ordered waits for new blocks only
    /// (ext4_alloc_da_blocks, ext4_jbd2_inode_add_write).
    mutating func saveUnallocated() {
        unsynced = unsynced.filter { !isUnallocated($0.key, $0.value) }
        savedSize = size
    }

    func isDirty(_ index: Int) -> Bool { unsynced[index] != nil }

    /// What is read after a crash: these pages, and holes.
    init(surviving pages: [Int: FilePage], size: Int64) {
        self.pages = pages
        self.size = size
        savedSize = size
    }

    init() {}

    // MARK: Pages of a range

    /// Calls `body` with each page's index, the range in the page, and that range's distance from `offset`.
    private static func forEachPage(_ offset: Int64, _ count: Int, _ body: (Int, Range<Int>, Int) -> Void) {
        var done = 0
        while done < count {
            let position = offset + Int64(done)
            let start = Int(position % Int64(FilePage.size))
            let part = min(FilePage.size - start, count - done)
            body(Int(position / Int64(FilePage.size)), start..<start + part, done)
            done += part
        }
    }
}

extension FilePage {
    mutating func clear(from start: Int) {
        guard bytes != nil else { return }
        bytes!.replaceSubrange(start..., with: repeatElement(0, count: FilePage.size - start))
    }
}

extension FilePage? {
    /// Copies a sector of another state of the page.
    mutating func copySector(_ sector: Int, of other: FilePage?) {
        let range = sector * FilePage.sectorSize..<(sector + 1) * FilePage.sectorSize
        guard self?.bytes != nil || other?.bytes != nil else { return }
        if self?.bytes == nil { self = FilePage(bytes: [UInt8](repeating: 0, count: FilePage.size)) }
        if let bytes = other?.bytes {
            self!.bytes!.replaceSubrange(range, with: bytes[range])
        } else {
            self!.bytes!.replaceSubrange(range, with: repeatElement(0, count: FilePage.sectorSize))
        }
    }
}
