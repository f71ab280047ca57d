internal import AIOCore
internal import CKernel

/// An open file of the file system, of any type. With O_PATH it serves as a place alone.
class FileDescription: OpenDescription {
    let fileSystem: SimulatedFileSystem
    let entry: DirectoryEntry
    /// Where read(2), write(2) and getdents64(2) go on.
    var position: Int64 = 0
    /// The errors of writeback that a sync of this description has reported.
    private var seenErrors: Int

    init(_ entry: DirectoryEntry, flags: UInt64, in fileSystem: SimulatedFileSystem) {
        self.entry = entry
        self.fileSystem = fileSystem
        seenErrors = entry.inode.errors.countSeenByNewDescriptions
        super.init(flags: flags)
        entry.inode.openCount += 1
        entry.openCount += 1
        if !isPathOnly { fileSystem.notify(entry, CK_IN_OPEN) }
    }

    var inode: Inode { entry.inode }
    var isPathOnly: Bool { flags & CK_O_PATH != 0 }
    var mayRead: Bool { !isPathOnly && flags & CK_O_ACCMODE != CK_O_WRONLY }
    var mayWrite: Bool { !isPathOnly && flags & CK_O_ACCMODE != CK_O_RDONLY }

    override var name: String { String(decoding: entry.path, as: UTF8.self) }

    /// epoll(7) refuses files that are always ready.
    override var isPollable: Bool { false }

    override func status(_ status: UnsafeMutablePointer<ck_statx>) -> Int {
        fileSystem.fill(status, inode)
        return 0
    }

    override func lastClose() {
        inode.locks.release(self)
        if !isPathOnly { fileSystem.notify(entry, mayWrite ? CK_IN_CLOSE_WRITE : CK_IN_CLOSE_NOWRITE) }
        inode.openCount -= 1
        entry.openCount -= 1
        fileSystem.notifyEnd(entry)
        fileSystem.releaseIfUnused(inode)
    }

    /// fsync(2) and fdatasync(2). An error of an earlier writeback is reported once to each description that was open
    /// (errseq_t; Documentation/core-api/errseq.rst in the kernel's sources).
    func sync(_ extent: SyncExtent) throws(CallError) {
        fileSystem.sync(inode, extent)
        try reportErrors()
    }

    func reportErrors() throws(CallError) {
        guard seenErrors != inode.errors.count else { return }
        seenErrors = inode.errors.count
        inode.errors.isSeen = true
        throw CallError(EIO)
    }

    /// lseek(2).
    func seek(_ offset: Int64, _ from: Int32) throws(CallError) -> Int64 { throw CallError(ESPIPE) }

    func moved(to newPosition: Int64?, limit: Int64) throws(CallError) -> Int64 {
        guard let newPosition, newPosition >= 0, newPosition <= limit else { throw CallError(EINVAL) }
        position = newPosition
        return newPosition
    }
}

/// The failures of writeback of one file.
struct WritebackErrors {
    private(set) var count = 0
    /// Whether a sync has reported the last one.
    var isSeen = true

    mutating func add() {
        count += 1
        isSeen = false
    }

    /// An error that nobody has seen is reported to those too who open the file later (errseq_sample).
    var countSeenByNewDescriptions: Int { isSeen ? count : count - 1 }
}

enum SyncExtent {
    /// fdatasync(2): the content, and what is needed for reading it.
    case data
    /// fsync(2).
    case full
}
