internal import AIOCore
internal import CKernel

extension SimulatedFileSystem {
    /// Changes the structure of a file in a transaction of its own.
    func restructure(_ file: RegularFile, _ change: (inout FileImage) -> Void) {
        let blocks = file.blockCount
        file.restructure(begin(), change)
        if let committed = file.forgetOldestChange() { journal.commit(through: committed) }
        addBlocks(file.blockCount - blocks)
        touch(file)
    }

    func truncate(_ file: RegularFile, to size: Int64) {
        if size == 0, file.size > 0 { file.isEmptied = true }
        restructure(file) { $0.truncate(to: size) }
    }
}

/// Calls on the content and the size of regular files.
extension SimulatedKernel {
    func truncate(_ descriptor: Int, _ size: Int) throws(CallError) -> Int {
        try require(size >= 0, EINVAL)
        let open = try openFile(descriptor)
        guard let regular = open as? RegularFileDescription, open.mayWrite else { throw CallError(EINVAL) }
        try require(Int64(size) <= SimulatedFileSystem.maximumSize, EFBIG)
        fileSystem.truncate(regular.file, to: Int64(size))
        fileSystem.notify(open.entry, CK_IN_MODIFY)
        return 0
    }

    // MARK: fallocate(2)

    private static let unshareRange: Int32 = 0x40

    func allocate(_ descriptor: Int, _ mode: Int, _ offset: Int, _ count: Int) throws(CallError) -> Int {
        let open: FileDescription?
        switch descriptors[descriptor] {
        case nil: throw CallError(EBADF)
        case let file as FileDescription: open = file.isPathOnly ? nil : file
        default: open = nil
        }
        let mode = Int32(truncatingIfNeeded: mode)
        if let open = descriptors[descriptor] as? FileDescription { try require(!open.isPathOnly, EBADF) }
        try require(offset >= 0 && count > 0, EINVAL)
        try require(Self.isKnown(mode), EOPNOTSUPP)
        guard let open else { throw CallError(ESPIPE) }
        try require(open.mayWrite, EBADF)
        guard let regular = open as? RegularFileDescription else {
            throw CallError(open.inode is Directory ? EISDIR : open.inode.type == CK_S_IFIFO ? ESPIPE : ENODEV)
        }
        let (end, overflows) = Int64(offset).addingReportingOverflow(Int64(count))
        try require(!overflows && end <= SimulatedFileSystem.maximumSize, EFBIG)
        try require(mode != Self.unshareRange, EOPNOTSUPP)
        try allocate(regular.file, mode, Int64(offset)..<end)
        fileSystem.notify(open.entry, CK_IN_MODIFY)
        return 0
    }

    /// The combinations that vfs_fallocate lets pass.
    private static func isKnown(_ mode: Int32) -> Bool {
        let keepsSize = mode & CK_FALLOC_FL_KEEP_SIZE != 0
        switch mode & ~CK_FALLOC_FL_KEEP_SIZE {
        case 0, CK_FALLOC_FL_ZERO_RANGE, unshareRange: return true
        case CK_FALLOC_FL_PUNCH_HOLE: return keepsSize
        case CK_FALLOC_FL_COLLAPSE_RANGE, CK_FALLOC_FL_INSERT_RANGE: return !keepsSize
        default: return false
        }
    }

    private func allocate(_ file: RegularFile, _ mode: Int32, _ range: Range<Int64>) throws(CallError) {
        let keepsSize = mode & CK_FALLOC_FL_KEEP_SIZE != 0
        switch mode & ~CK_FALLOC_FL_KEEP_SIZE {
        case CK_FALLOC_FL_PUNCH_HOLE: punch(file, range)
        case CK_FALLOC_FL_COLLAPSE_RANGE: try collapse(file, range)
        case CK_FALLOC_FL_INSERT_RANGE: try insert(file, range)
        case CK_FALLOC_FL_ZERO_RANGE:
            try reserve(file, range)
            writeZeros(file, range)
            fileSystem.restructure(file) { image in
                let whole = Self.wholePages(range)
                image.makeHoles(whole)
                image.allocate(file.pages(of: range.lowerBound, range.count))
                if !keepsSize { image.extend(to: range.upperBound) }
            }
        default:
            try reserve(file, range)
            fileSystem.restructure(file) { image in
                image.allocate(file.pages(of: range.lowerBound, range.count))
                if !keepsSize { image.extend(to: range.upperBound) }
            }
        }
    }

    /// ENOSPC unless all blocks of a range can be allocated. ext4 keeps what it could allocate; here nothing changes.
    private func reserve(_ file: RegularFile, _ range: Range<Int64>) throws(CallError) {
        let pages = file.pages(of: range.lowerBound, range.count)
        // Far more than any file has: not counted one by one.
        try require(pages.count <= fileSystem.freeBlocks + file.blockCount, ENOSPC)
        var missing = 0
        for page in pages where file.image.pages[page] == nil { missing += 1 }
        try require(missing <= fileSystem.freeBlocks, ENOSPC)
    }

    /// The pages that lie in the range as a whole.
    private static func wholePages(_ range: Range<Int64>) -> Range<Int> {
        let size = Int64(FilePage.size)
        let first = Int((range.lowerBound + size - 1) / size)
        return first..<max(first, Int(range.upperBound / size))
    }

    /// Writes zeros to those parts of a range that are not whole pages.
    private func writeZeros(_ file: RegularFile, _ range: Range<Int64>) {
        let whole = Self.wholePages(range)
        let size = Int64(FilePage.size)
        let edges =
            whole.isEmpty
            ? [range]
            : [range.lowerBound..<Int64(whole.lowerBound) * size, Int64(whole.upperBound) * size..<range.upperBound]
        for edge in edges { file.writeZeros(edge.clamped(to: 0..<file.size)) }
    }

    private func punch(_ file: RegularFile, _ range: Range<Int64>) {
        guard range.lowerBound < file.size else { return }
        writeZeros(file, range)
        fileSystem.restructure(file) { $0.makeHoles(Self.wholePages(range)) }
    }

    private func isAligned(_ range: Range<Int64>) -> Bool {
        range.lowerBound % Int64(FilePage.size) == 0 && range.upperBound % Int64(FilePage.size) == 0
    }

    private func collapse(_ file: RegularFile, _ range: Range<Int64>) throws(CallError) {
        // ext4_collapse_range: a range that reaches the end would be a truncation.
        try require(isAligned(range) && range.upperBound < file.size, EINVAL)
        let count = range.count / FilePage.size
        let first = Int(range.upperBound / Int64(FilePage.size))
        fileSystem.restructure(file) { $0.shift(from: first, by: -count) }
    }

    private func insert(_ file: RegularFile, _ range: Range<Int64>) throws(CallError) {
        try require(isAligned(range), EINVAL)
        try require(range.lowerBound < file.size, EINVAL)
        try require(file.size <= SimulatedFileSystem.maximumSize - Int64(range.count), EFBIG)
        let first = Int(range.lowerBound / Int64(FilePage.size))
        fileSystem.restructure(file) { $0.shift(from: first, by: range.count / FilePage.size) }
    }

    // MARK: Copying

    /// copy_file_range(2), with the checks of vfs_copy_file_range in their order.
    func copyRange(_ call: SystemCall) throws(CallError) -> Int {
        let source = try openFile(call.a)
        let target = try openFile(call.c)
        let sourceOffset = UnsafeMutablePointer<Int64>(bitPattern: call.b)
        let targetOffset = UnsafeMutablePointer<Int64>(bitPattern: call.d)
        try require(call.f == 0, EINVAL)
        try require(!(source.inode is Directory || target.inode is Directory), EISDIR)
        guard let from = source as? RegularFileDescription, let to = target as? RegularFileDescription else {
            throw CallError(EINVAL)
        }
        try require(from.mayRead && to.mayWrite && to.flags & CK_O_APPEND == 0, EBADF)
        let start = sourceOffset?.pointee ?? from.position
        let end = targetOffset?.pointee ?? to.position
        try require(start >= 0 && end >= 0, EINVAL)
        try require(!Int64(call.e).addingReportingOverflow(max(start, end)).overflow, EOVERFLOW)
        let count = Int(min(Int64(min(call.e, Int(Int32.max) & ~4095)), max(0, from.file.size - start)))
        if from.file === to.file {
            try require(start + Int64(count) <= end || end + Int64(count) <= start || count == 0, EINVAL)
        }
        guard count > 0 else { return 0 }
        let copied = try copy(count, from, start, to, end)
        if let sourceOffset { sourceOffset.pointee += Int64(copied) } else { from.position += Int64(copied) }
        if let targetOffset { targetOffset.pointee += Int64(copied) } else { to.position += Int64(copied) }
        return copied
    }

    private func copy(
        _ count: Int, _ from: RegularFileDescription, _ start: Int64, _ to: RegularFileDescription, _ end: Int64
    ) throws(CallError) -> Int {
        // A short copy is allowed; this much is held in memory at once.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(count, 1 << 24), alignment: 16)
        defer { buffer.deallocate() }
        from.file.image.read(buffer, at: start)
        let written = to.write([UnsafeRawBufferPointer(buffer)], at: end, flags: 0)
        guard written >= 0 else { throw CallError(result: written) }
        fileSystem.notify(from.entry, CK_IN_ACCESS)
        fileSystem.notify(to.entry, CK_IN_MODIFY)
        return written
    }
}
