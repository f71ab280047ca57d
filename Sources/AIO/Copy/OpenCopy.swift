internal import AIOCore
internal import CKernel
internal import Synchronization

/// A regular file in the process of being copied: both files open, the copy under its pending name. On a worker's
/// thread; several workers copy ranges of a large file.
///
/// It owns both descriptors and the file under the pending name, and releases them when it is released.
final class OpenCopy: @unchecked Sendable {
    // @unchecked: passed from worker to worker with the work; workers that copy ranges concurrently only read its
    // fields.
    private let item: CopyItem
    private let session: CopySession
    private let sourceDirectory: OpenDirectory
    private(set) var source: Int32
    private(set) var target: Int32 = -1
    let status: ck_statx
    private let name: PendingName
    private(set) var cursor: CopyCursor?
    /// Where the source ended, if that is before its reported size.
    private let sourceEnd: Atomic<Int64>

    /// The minimum size of files that several workers copy in ranges.
    static var largeSize: Int64 { 4 << 20 }
    /// The bytes that a worker takes at a time: a hand-over costs little beside them, and a cancel takes effect soon.
    static var pieceSize: Int { 1 << 20 }

    /// Opens the source.
    init(_ item: CopyItem, _ session: CopySession) throws(IOError) {
        let directory = try item.source.openDirectory()
        let name = try PendingName(for: item.target)
        // O_NONBLOCK: the open would wait if the file had become a FIFO.
        let opened = CopyCalls.open(item.source.name, in: directory, CK_O_RDONLY | CK_O_NONBLOCK)
        self.source = Int32(try check(opened, "open", item.source.path))
        self.item = item
        self.session = session
        self.name = name
        sourceDirectory = directory
        sourceEnd = Atomic(.max)
        var status = ck_statx()
        let result = Kernel.status(self.source, FileStatus.mask, &status)
        self.status = status
        // If this throws, `deinit` releases what is initialized.
        _ = try check(result, "stat", item.source.path)
        guard FileType(mode: status.mode) == .regular else {
            throw IOError(
                .other, "copy", path: item.source.path, advice: "it is no longer a regular file; copy it again")
        }
    }

    private var sourcePath: Path { item.source.path }
    private var targetPath: Path { item.target.path }

    deinit { close() }

    private func close() {
        if source >= 0 { Kernel.close(source) }
        if target >= 0 { Kernel.close(target) }
        (source, target) = (-1, -1)
    }

    var size: Int64 { Int64(clamping: status.size) }
    var isLarge: Bool { size >= Self.largeSize }

    func readAhead() {
        if !isLarge, size > 0 { _ = Kernel.readahead(source, 0, Int(size)) }
    }

    /// Creates the target under its pending name. Returns true if it has its content already, by a clone.
    func begin() throws(IOError) -> Bool {
        let permissions: UInt64 = session.options.keepsMetadata ? 0o600 : UInt64(status.mode & 0o777)
        let result = try name.make { pending in
            CopyCalls.open(
                pending, in: name.directory, CK_O_RDWR | CK_O_CREAT | CK_O_EXCL, permissions: permissions)
        }
        target = Int32(result)
        if size > 0, session.clone(source, to: target) {
            session.add(bytes: size)
            return true
        }
        guard size > 0 else { return false }
        // statx(2) counts blocks of 512 bytes on every file system.
        let mayHaveHoles = status.blocks &* 512 < status.size
        cursor = CopyCursor(source, size: size, mayHaveHoles: mayHaveHoles, pieceSize: Self.pieceSize)
        // Preallocates the size: writes need not extend the file, and a hole at the end is kept.
        if mayHaveHoles || isLarge { _ = try check(Kernel.ftruncate(target, size), "write", targetPath) }
        return false
    }

    /// Sets metadata, syncs, and gives the file its final name.
    func finish() throws(IOError) {
        var now = ck_statx()
        _ = try check(Kernel.status(source, CK_STATX_SIZE, &now), "stat", sourcePath)
        guard now.size >= status.size else { throw endedEarly }
        // Relaxed: all workers that copied ranges have finished.
        let end = sourceEnd.load(ordering: .relaxed)
        if end < size { _ = try check(Kernel.ftruncate(target, end), "write", targetPath) }
        let metadata = CopiedMetadata(status: status, session: session, mayInherit: item.made?.isAll != true)
        try metadata.apply(to: target, from: source, targetPath)
        if session.options.sync { _ = try check(Kernel.fsync(target), "fsync", targetPath) }
        let closed = Kernel.close(target)
        target = -1
        // close(2) may report a write error that the file system deferred.
        _ = try check(closed, "close", targetPath)
        let origin = CopyOrigin(place: item.source, directory: sourceDirectory, status: status)
        try name.publish(origin, item.made, replaces: session.options.replaces)
        close()
        session.add(files: 1)
    }

    /// Removes the copy, and closes both files.
    func abandon() {
        name.remove()
        close()
    }

    // MARK: Content

    /// Copies ranges until there are none left.
    func copyPieces(_ buffer: UnsafeMutableRawBufferPointer, shouldEnd: () -> Bool) throws(IOError) {
        guard let cursor else { return try copyToEnd(buffer, shouldEnd) }
        while let piece = cursor.next() {
            guard !shouldEnd() else { throw IOError(.cancelled, "copy", path: sourcePath) }
            switch piece {
            case .success(let range): try copy(range, buffer)
            case .failure(var error):
                error.path = sourcePath
                throw error
            }
        }
    }

    /// Copies a file that reports a size of 0; files of /proc do so and have content.
    private func copyToEnd(_ buffer: UnsafeMutableRawBufferPointer, _ shouldEnd: () -> Bool) throws(IOError) {
        var offset: Int64 = 0
        while !shouldEnd() {
            let count = try read(buffer, buffer.count, at: offset)
            guard count > 0 else { return }
            try write(buffer, count, at: offset)
            offset += Int64(count)
        }
        throw IOError(.cancelled, "copy", path: sourcePath)
    }

    private func copy(_ range: Range<Int64>, _ buffer: UnsafeMutableRawBufferPointer) throws(IOError) {
        var offset = range.lowerBound
        if isLarge, size - offset > Self.readaheadDistance {
            _ = Kernel.readahead(source, offset + Self.readaheadDistance, Self.pieceSize)
        }
        while offset < range.upperBound {
            let left = Int(range.upperBound - offset)
            if let moved = session.copyRange(source, target, at: offset, left) {
                offset += Int64(try check(moved, "copy_file_range", targetPath))
                session.add(bytes: Int64(moved))
                continue
            }
            let count = try read(buffer, min(left, buffer.count), at: offset)
            guard count > 0 else { return try noteEnd(at: offset, buffer) }
            try write(buffer, count, at: offset)
            offset += Int64(count)
        }
    }

    /// Called when the source ends before its reported size. If the file was truncated, the copy is useless. But files
    /// of /sys report a page and contain a line; these are complete.
    private func noteEnd(at offset: Int64, _ buffer: UnsafeMutableRawBufferPointer) throws(IOError) {
        var now = ck_statx()
        _ = try check(Kernel.status(source, FileStatus.mask, &now), "stat", sourcePath)
        let (time, timeBefore) = (now.modification_time, status.modification_time)
        let isUnchanged = time.seconds == timeBefore.seconds && time.nanoseconds == timeBefore.nanoseconds
        guard now.size == status.size, isUnchanged else { throw endedEarly }
        // A file that was truncated and extended again may have its time set back, but then has bytes here. Its change
        // time says less: a chmod changes it as well.
        guard try read(buffer, 1, at: offset) == 0 else { throw endedEarly }
        // Relaxed: read after all work on the file is over.
        sourceEnd.min(offset, ordering: .relaxed)
    }

    /// How far ahead of the piece that it copies a worker has the kernel read: more than what all workers of the file
    /// have in their hands.
    private static var readaheadDistance: Int64 { 8 << 20 }

    private func read(
        _ buffer: UnsafeMutableRawBufferPointer, _ count: Int, at offset: Int64
    ) throws(IOError) -> Int {
        while true {
            let result = Kernel.pread(source, buffer.baseAddress!, count, offset)
            if result != -Int(EINTR) { return try check(result, "read", sourcePath) }
        }
    }

    private func write(_ buffer: UnsafeMutableRawBufferPointer, _ count: Int, at offset: Int64) throws(IOError) {
        var done = 0
        while done < count {
            let result = Kernel.pwrite(target, buffer.baseAddress! + done, count - done, offset + Int64(done))
            if result == -Int(EINTR) { continue }
            done += try check(result == 0 ? -Int(ENOSPC) : result, "write", targetPath)
        }
        session.add(bytes: Int64(count))
    }

    private var endedEarly: IOError {
        IOError(.unexpectedEndOfFile, "copy", path: sourcePath, advice: "it became shorter while it was copied")
    }
}
