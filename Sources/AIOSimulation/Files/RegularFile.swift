internal import AIOCore
internal import CKernel

/// A regular file: its content, what a crash may leave of it, and which of its pages are in the page cache.
final class RegularFile: Inode {
    private(set) var image = FileImage()
    /// The content before each change of structure since the last sync, with the number of the change's transaction.
    private(set) var history: [(transaction: UInt64, image: FileImage)] = []
    /// The pages in the page cache.
    private var resident: Set<Int> = []
    /// Whether it was truncated to nothing since it was last closed: its next close begins to save it.
    var isEmptied = false

    override var size: Int64 { image.size }
    override var blockCount: Int { image.blockCount }

    /// Writes. Allocated pages are the caller's business.
    func write(_ source: UnsafeRawBufferPointer, at offset: Int64) {
        image.write(source, at: offset)
        keepResident(pages(of: offset, source.count))
    }

    /// Makes a change of structure, which is durable when its transaction is committed.
    func restructure(_ transaction: UInt64, _ change: (inout FileImage) -> Void) {
        history.append((transaction, image))
        change(&image)
        lastTransaction = transaction
        lastDataTransaction = transaction
    }

    /// Forgets the state before the oldest change of structure, if there are many. Returns the change's transaction,
    /// which cannot be undone any more.
    func forgetOldestChange() -> UInt64? { history.count > 16 ? history.removeFirst().transaction : nil }

    /// Writes zeros where there is data, as a write does.
    func writeZeros(_ range: Range<Int64>) { image.writeZeros(range) }

    // MARK: The page cache

    func pages(of offset: Int64, _ count: Int) -> Range<Int> {
        guard count > 0 else { return 0..<0 }
        let size = Int64(FilePage.size)
        return Int(offset / size)..<Int((offset + Int64(count) - 1) / size) + 1
    }

    func keepResident(_ pages: Range<Int>) { for page in pages { resident.insert(page) } }

    /// The pages of a range that are in the page cache, in no order.
    func residentPages(in range: Range<Int>) -> [Int] {
        range.count < resident.count ? range.filter(resident.contains) : resident.filter(range.contains)
    }

    /// Drops pages of the page cache. Dirty ones are written back for it, which makes nothing durable.
    func dropPages(_ range: Range<Int>) {
        for page in residentPages(in: range) {
            resident.remove(page)
            if !image.isDirty(page) { image.evict(page) }
        }
    }

    /// Whether the range of the file can be read without waiting for the device; how many bytes from its start can.
    func residentCount(_ offset: Int64, _ count: Int) -> Int {
        guard let missing = pages(of: offset, count).first(where: { !resident.contains($0) }) else { return count }
        return max(0, missing * FilePage.size - Int(offset))
    }

    // MARK: Saving

    /// A sync succeeded: the content and the size are durable.
    func save() {
        image.save()
        history = []
    }

    func failToSave(choosing random: inout SimulatedRandom) { image.failToSave(choosing: &random) }

    /// Saves the data that has no blocks on the device yet together with a transaction. POSIX promises nothing of this
    /// kind, so the state before it stays in the history.
    func saveWith(_ transaction: UInt64) {
        guard image.hasUnallocated else { return }
        restructure(transaction) { $0.saveUnallocated() }
    }

    /// What is there after a crash.
    func survivor(_ attributes: InodeAttributes, _ image: FileImage) -> RegularFile {
        let file = RegularFile(number: number, attributes: attributes, created: created)
        file.image = image
        return file
    }
}
