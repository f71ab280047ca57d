internal import AIOCore
internal import CKernel

/// A regular file that is being copied: both sides open, the copy under a pending name. On a worker's thread, but for
/// the ranges of a large file, which several copy at once.
///
/// It owns both descriptors and the file under the pending name, and gives them up when it goes.
final class OpenCopy: @unchecked Sendable {
    // @unchecked: handed over with the work; while several copy ranges they only read what is here.
    let sourcePath: Path
    let session: CopySession
    private(set) var source: Int32
    private(set) var target: Int32 = -1
    let status: ck_statx
    private let name: PendingName
    private(set) var cursor: CopyCursor?

    /// From here on a file is copied in ranges by several.
    static var largeSize: Int64 { 4 << 20 }
    static var pieceSize: Int { 1 << 20 }

    /// Opens the source, and has its data read ahead.
    init(_ source: Path, to target: Path, _ session: CopySession) throws(IOError) {
        // Were it a FIFO by now, the open would wait.
        let opened = CopyCalls.open(source, CK_O_RDONLY | CK_O_NOFOLLOW | CK_O_NONBLOCK)
        self.source = Int32(try check(opened, "open", source))
        sourcePath = source
        self.session = session
        name = PendingName(for: target)
        var status = ck_statx()
        let result = Kernel.status(self.source, FileStatus.mask, &status)
        self.status = status
        // What is initialised is given up by `deinit`, also when this throws.
        _ = try check(result, "stat", source)
        guard FileType(mode: status.mode) == .regular else {
            throw IOError(.other, "copy", path: source, advice: "it is no regular file any more; copy it again")
        }
    }

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

    /// Makes the target under its pending name. True if it has its content by that.
    func begin() throws(IOError) -> Bool {
        let permissions: UInt64 = session.options.keepsMetadata ? 0o600 : UInt64(status.mode & 0o777)
        let result = try name.make { path in
            CopyCalls.open(path, CK_O_RDWR | CK_O_CREAT | CK_O_EXCL, permissions: permissions)
        }
        target = Int32(result)
        if size > 0, session.clone(source, to: target) {
            session.progress.add(bytes: Int(size))
            return true
        }
        guard size > 0 else { return false }
        let mayHaveHoles = status.blocks &* 512 < status.size
        cursor = CopyCursor(source, size: size, mayHaveHoles: mayHaveHoles, pieceSize: Self.pieceSize)
        // Writes then need not move the end of the file, and a hole at the end is there.
        if mayHaveHoles || isLarge { _ = try check(Kernel.ftruncate(target, size), "write", name.final) }
        return false
    }

    /// Attributes, durability, and the final name.
    func finish() throws(IOError) {
        var now = ck_statx()
        _ = try check(Kernel.status(source, CK_STATX_SIZE, &now), "stat", sourcePath)
        guard now.size >= status.size else { throw endedEarly }
        try CopiedMetadata(status: status, session: session).apply(to: target, from: source, name.final)
        if session.options.sync { _ = try check(Kernel.fsync(target), "fsync", name.final) }
        let closed = Kernel.close(target)
        target = -1
        // What the file system had put off fails now, if it does.
        _ = try check(closed, "close", name.final)
        try name.publish(replaces: session.options.replaces)
        close()
        session.progress.add(files: 1)
    }

    /// Removes what was made, and closes both sides.
    func abandon() {
        name.remove()
        close()
    }

    // MARK: Content

    /// Copies pieces until there are none left.
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

    /// A file that says to be empty: those of the kernel are not.
    private func copyToEnd(_ buffer: UnsafeMutableRawBufferPointer, _ shouldEnd: () -> Bool) throws(IOError) {
        var offset: Int64 = 0
        while !shouldEnd() {
            let result = Kernel.pread(source, buffer.baseAddress!, buffer.count, offset)
            if result == -Int(EINTR) { continue }
            let count = try check(result, "read", sourcePath)
            guard count > 0 else { return }
            try write(buffer, count, at: offset)
            offset += Int64(count)
        }
        throw IOError(.cancelled, "copy", path: sourcePath)
    }

    private func copy(_ range: Range<Int64>, _ buffer: UnsafeMutableRawBufferPointer) throws(IOError) {
        var offset = range.lowerBound
        if isLarge { _ = Kernel.readahead(source, offset &+ Self.readaheadDistance, Self.pieceSize) }
        while offset < range.upperBound {
            let left = Int(range.upperBound - offset)
            if let moved = session.copyRange(source, target, at: offset, left) {
                offset += Int64(try check(moved, "copy_file_range", name.final))
                session.progress.add(bytes: moved)
                continue
            }
            let wanted = min(left, buffer.count)
            let result = Kernel.pread(source, buffer.baseAddress!, wanted, offset)
            if result == -Int(EINTR) { continue }
            let count = try check(result, "read", sourcePath)
            guard count > 0 else { throw endedEarly }
            try write(buffer, count, at: offset)
            offset += Int64(count)
        }
    }

    private static var readaheadDistance: Int64 { 8 << 20 }

    private func write(_ buffer: UnsafeMutableRawBufferPointer, _ count: Int, at offset: Int64) throws(IOError) {
        var done = 0
        while done < count {
            let result = Kernel.pwrite(target, buffer.baseAddress! + done, count - done, offset + Int64(done))
            if result == -Int(EINTR) { continue }
            done += try check(result == 0 ? -Int(ENOSPC) : result, "write", name.final)
        }
        session.progress.add(bytes: count)
    }

    private var endedEarly: IOError {
        IOError(.unexpectedEndOfFile, "copy", path: sourcePath, advice: "it became shorter while it was copied")
    }
}
