internal import AIOCore
internal import CKernel

/// The contents of a pipe, as the kernel keeps them (fs/pipe.c): a ring of pages, of which small writes fill the last.
/// Whether a write fits, and how much of it, therefore depends on how the pages were filled.
final class PipeBuffer {
    static let pageSize = 4096

    /// A page, or a part of one.
    struct Page {
        /// The page's bytes from its start to the end of what was written.
        var bytes: [UInt8]
        /// The first byte that has not been read.
        var start = 0
        /// Whether later writes may be appended: not after splice(2) or tee(2) of a part.
        var acceptsMore = true

        var count: Int { bytes.count - start }
    }

    private(set) var pages: [Page] = []
    /// F_GETPIPE_SZ / 4096.
    private(set) var pageLimit = 16
    private(set) var readerCount = 0
    private(set) var writerCount = 0
    /// How many writers there have been: a FIFO's reader sees no hang-up before the first.
    private(set) var writersSoFar = 0
    private var ends: [PipeEnd] = []
    /// The file of a FIFO.
    let file: SpecialFile?

    init(_ file: SpecialFile? = nil) { self.file = file }

    var isEmpty: Bool { pages.isEmpty }
    var isFull: Bool { pages.count >= pageLimit }
    var byteCount: Int { pages.reduce(0) { $0 + $1.count } }

    func add(_ end: PipeEnd) {
        ends.append(end)
        if end.isReadable { readerCount += 1 }
        if end.isWritable {
            writerCount += 1
            writersSoFar += 1
        }
        changed()
    }

    func remove(_ end: PipeEnd) {
        ends.removeAll { $0 === end }
        if end.isReadable { readerCount -= 1 }
        if end.isWritable { writerCount -= 1 }
        // A FIFO that nobody has open loses its contents.
        if ends.isEmpty {
            pages = []
            file?.stream = nil
        }
        changed()
    }

    func changed() { for end in ends { end.readinessChanged() } }

    /// Appends what fits. Returns the number of bytes.
    func write(_ source: inout WriteSource) -> Int {
        var written = 0
        // As pipe_write: the odd rest goes to the last page, if all of it fits there.
        let rest = source.remaining % Self.pageSize
        if rest > 0, let last = pages.indices.last, pages[last].acceptsMore,
            pages[last].bytes.count + rest <= Self.pageSize
        {
            pages[last].bytes += source.take(rest)
            written = rest
        }
        while source.remaining > 0, !isFull {
            let bytes = source.take(Self.pageSize)
            pages.append(Page(bytes: bytes))
            written += bytes.count
        }
        return written
    }

    func read(into target: inout ReadTarget) -> Int {
        var count = 0
        while target.room > 0, let first = pages.first {
            let copied = first.bytes.withUnsafeBytes {
                target.put(UnsafeRawBufferPointer(rebasing: $0[first.start...]))
            }
            count += copied
            drop(copied)
        }
        return count
    }

    /// Removes bytes of the first page.
    func drop(_ count: Int) {
        pages[0].start += count
        if pages[0].count == 0 { pages.removeFirst() }
    }

    /// Appends a page as splice(2) does. The pipe must not be full.
    func append(_ page: Page) { pages.append(page) }

    /// fcntl(2) with F_SETPIPE_SZ; the limit of an unprivileged user is 1 MiB.
    func resize(_ size: Int) -> Int {
        guard size >= 0, size <= 1 << 31 else { return -Int(EINVAL) }
        var pageCount = 1
        while pageCount * Self.pageSize < size { pageCount *= 2 }
        guard pageCount <= pageLimit || pageCount <= 256 else { return -Int(EPERM) }
        guard pageCount >= pages.count else { return -Int(EBUSY) }
        pageLimit = pageCount
        changed()
        return pageLimit * Self.pageSize
    }
}

/// An end of a pipe, or an open FIFO.
final class PipeEnd: StreamDescription {
    let buffer: PipeBuffer
    /// The number of writers so far, if a FIFO was opened for reading without one; else -1. No hang-up before the next.
    private let writersBefore: Int
    private let isFIFO: Bool
    /// splice(2) clears FMODE_NOWAIT (pipe_clear_nowait): its pages may have to be waited for.
    var isSpliced = false

    init(_ kernel: SimulatedKernel, _ buffer: PipeBuffer, flags: UInt64, isFIFO: Bool = false) {
        self.buffer = buffer
        self.isFIFO = isFIFO
        let isAlone = isFIFO && buffer.writerCount == 0 && flags & CK_O_NONBLOCK != 0
        writersBefore = isAlone ? buffer.writersSoFar : -1
        super.init(kernel, flags: flags)
        buffer.add(self)
    }

    override var name: String { "pipe" }
    override var fileType: UInt16 { CK_S_IFIFO }
    override var availableCount: Int? { buffer.byteCount }
    // fifo_open does not set FMODE_NOWAIT, pipe2(2) does.
    override var readsWithoutWaiting: Bool { !isFIFO && !isSpliced }
    override var writesWithoutWaiting: Bool { !isFIFO && !isSpliced }

    override func read(_ target: inout ReadTarget, withoutWaiting: Bool) -> Int {
        guard target.room > 0 else { return 0 }
        guard buffer.isEmpty else {
            let count = buffer.read(into: &target)
            buffer.changed()
            return count
        }
        return buffer.writerCount == 0 ? 0 : blocked(withoutWaiting)
    }

    /// What does not fit is a short write also where the kernel would wait for room: the library continues after one.
    override func write(_ source: inout WriteSource, withoutWaiting: Bool) -> Int {
        guard source.remaining > 0 else { return 0 }
        guard buffer.readerCount > 0 else { return -Int(EPIPE) }
        let count = buffer.write(&source)
        guard count > 0 else { return blocked(withoutWaiting) }
        buffer.changed()
        return count
    }

    override var readyEvents: UInt32 {
        var events: UInt32 = 0
        if isReadable {
            if !buffer.isEmpty { events |= CK_POLLIN | CK_POLLRDNORM }
            if buffer.writerCount == 0, buffer.writersSoFar != writersBefore { events |= CK_POLLHUP }
        }
        if isWritable {
            if !buffer.isFull { events |= CK_POLLOUT | CK_POLLWRNORM }
            if buffer.readerCount == 0 { events |= CK_POLLERR }
        }
        return events
    }

    override func status(_ status: UnsafeMutablePointer<ck_statx>) -> Int {
        guard let file = buffer.file else { return super.status(status) }
        kernel.fileSystem.fill(status, file)
        return 0
    }

    override func lastClose() { buffer.remove(self) }
}
