internal import AIOCore
internal import CKernel

/// Calls on the page cache, and the syncs.
extension SimulatedKernel {
    func sync(_ descriptor: Int, _ extent: SyncExtent) throws(CallError) -> Int {
        let open = try openFile(descriptor)
        // Only regular files and directories have an fsync; a device has none.
        try require(open is RegularFileDescription || open.inode is Directory, EINVAL)
        try open.sync(extent)
        return 0
    }

    /// sync_file_range(2): begins or awaits writeback. It promises nothing: neither metadata nor the device's cache is
    /// flushed.
    func syncRange(_ descriptor: Int, _ offset: Int, _ count: Int, _ flags: Int) throws(CallError) -> Int {
        let open = try openFile(descriptor)
        try require(
            flags & ~7 == 0 && offset >= 0 && count >= 0 && offset.addingReportingOverflow(count).overflow == false,
            EINVAL)
        try require(open is RegularFileDescription || open.inode is Directory, ESPIPE)
        return 0
    }

    func advise(_ descriptor: Int, _ offset: Int, _ count: Int, _ advice: Int) throws(CallError) -> Int {
        let open = try openFile(descriptor)
        try require(count >= 0 && 0...5 ~= advice, EINVAL)
        guard let file = (open as? RegularFileDescription)?.file, offset >= 0 else { return 0 }
        let range = Self.pages(file, Int64(offset), count == 0 ? .max : Int64(count))
        switch Int32(advice) {
        case CK_FADV_WILLNEED: file.keepResident(range.prefix(Self.readAheadLimit))
        case CK_FADV_DONTNEED:
            // Whole pages only, except at the end of the file (generic_fadvise).
            let first = offset / FilePage.size + (offset % FilePage.size == 0 ? 0 : 1)
            let (end, overflows) = offset.addingReportingOverflow(count)
            let reachesEnd = count == 0 || overflows || Int64(end) >= file.size
            let last = reachesEnd ? range.upperBound : end / FilePage.size
            // Dirty pages are written back first, which is no promise of durability.
            file.dropPages(first..<max(first, last))
        default: break
        }
        return 0
    }

    func readAhead(_ descriptor: Int, _ offset: Int, _ count: Int) throws(CallError) -> Int {
        let open = try openFile(descriptor)
        try require(open.mayRead, EBADF)
        guard let file = (open as? RegularFileDescription)?.file else { throw CallError(EINVAL) }
        guard offset >= 0, count > 0 else { return 0 }
        file.keepResident(Self.pages(file, Int64(offset), Int64(count)).prefix(Self.readAheadLimit))
        return 0
    }

    /// In pages: the kernel too reads ahead only so much at once.
    private static let readAheadLimit = 1 << 16

    /// cachestat(2).
    func cacheStatus(_ descriptor: Int, _ range: Int, _ result: Int, _ flags: Int) throws(CallError) -> Int {
        let open = try openFile(descriptor)
        guard let range = UnsafePointer<ck_cachestat_range>(bitPattern: range)?.pointee,
            let result = UnsafeMutablePointer<ck_cachestat>(bitPattern: result)
        else { throw CallError(EFAULT) }
        try require(flags == 0, EINVAL)
        var status = ck_cachestat()
        if let file = (open as? RegularFileDescription)?.file, range.offset < UInt64(Int64.max) {
            let count = range.count == 0 ? .max : Int64(clamping: range.count)
            let pages = file.residentPages(in: Self.pages(file, Int64(range.offset), count))
            status.cached = UInt64(pages.count)
            status.dirty = UInt64(pages.count { file.image.isDirty($0) })
        }
        result.pointee = status
        return 0
    }

    /// The pages of the file in a range of bytes.
    private static func pages(_ file: RegularFile, _ offset: Int64, _ count: Int64) -> Range<Int> {
        file.pages(of: offset, Int(min(count, max(0, file.size - offset))))
    }
}
