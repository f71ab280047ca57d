internal import AIOCore
internal import CKernel

final class RegularFileDescription: FileDescription {
    let file: RegularFile

    init(_ file: RegularFile, _ entry: DirectoryEntry, flags: UInt64, in fileSystem: SimulatedFileSystem) {
        self.file = file
        super.init(entry, flags: flags, in: fileSystem)
    }

    private var isDirect: Bool { flags & CK_O_DIRECT != 0 }

    // MARK: Reading

    override func read(into buffers: [UnsafeMutableRawBufferPointer], at offset: Int64?, flags: UInt32) -> Int {
        let start = offset ?? position
        let available = max(0, file.size - start)
        var count = Int(min(Int64(buffers.reduce(0) { $0 + $1.count }), available))
        guard count > 0 else { return 0 }
        if isDirect {
            guard isAligned(start, buffers.map { UnsafeRawBufferPointer($0) }) else { return -Int(EINVAL) }
        } else {
            if flags & CK_RWF_NOWAIT != 0 { count = file.residentCount(start, count) }
            guard count > 0 else { return -Int(EAGAIN) }
            file.keepResident(file.pages(of: start, count))
        }
        copy(count, from: start, to: buffers)
        if !isDirect, flags & CK_RWF_DONTCACHE != 0 { file.dropPages(file.pages(of: start, count)) }
        if offset == nil { position = start + Int64(count) }
        fileSystem.noteAccess(file)
        return count
    }

    private func copy(_ count: Int, from start: Int64, to buffers: [UnsafeMutableRawBufferPointer]) {
        var done = 0
        for buffer in buffers where done < count {
            let part = min(buffer.count, count - done)
            file.image.read(UnsafeMutableRawBufferPointer(rebasing: buffer[..<part]), at: start + Int64(done))
            done += part
        }
    }

    // MARK: Writing

    override func write(_ buffers: [UnsafeRawBufferPointer], at offset: Int64?, flags: UInt32) -> Int {
        // ext4_buffered_write_iter.
        if !isDirect, flags & CK_RWF_NOWAIT != 0 { return -Int(EOPNOTSUPP) }
        let wanted = buffers.reduce(0) { $0 + $1.count }
        guard wanted > 0 else { return 0 }
        let appends = (self.flags & CK_O_APPEND != 0 && flags & CK_RWF_NOAPPEND == 0) || flags & CK_RWF_APPEND != 0
        let start = appends ? file.size : offset ?? position
        guard start < SimulatedFileSystem.maximumSize else { return -Int(EFBIG) }
        if isDirect {
            guard isAligned(start, buffers) else { return -Int(EINVAL) }
        }
        let count = fileSystem.roomForWrite(
            to: file, at: start, Int(min(Int64(wanted), SimulatedFileSystem.maximumSize - start)))
        guard count > 0 else { return -Int(ENOSPC) }
        put(count, of: buffers, at: start)
        if offset == nil { position = start + Int64(count) }
        return finishWrite(count, at: start, flags)
    }

    private func put(_ count: Int, of buffers: [UnsafeRawBufferPointer], at start: Int64) {
        let blocks = file.blockCount
        var done = 0
        for buffer in buffers where done < count {
            let part = min(buffer.count, count - done)
            file.write(UnsafeRawBufferPointer(rebasing: buffer[..<part]), at: start + Int64(done))
            done += part
        }
        fileSystem.addBlocks(file.blockCount - blocks)
        fileSystem.touch(file)
    }

    private func finishWrite(_ count: Int, at start: Int64, _ flags: UInt32) -> Int {
        if isDirect || flags & CK_RWF_DONTCACHE != 0 { file.dropPages(file.pages(of: start, count)) }
        // O_SYNC contains O_DSYNC's bit.
        let full = self.flags & CK_O_SYNC == CK_O_SYNC || flags & CK_RWF_SYNC != 0
        guard full || self.flags & CK_O_DSYNC != 0 || flags & CK_RWF_DSYNC != 0 else { return count }
        do throws(CallError) { try sync(full ? .full : .data) } catch { return error.result }
        return count
    }

    /// O_DIRECT: offset, lengths and addresses are multiples of what statx(2) reports (STATX_DIOALIGN).
    private func isAligned(_ start: Int64, _ buffers: [UnsafeRawBufferPointer]) -> Bool {
        start % Int64(FilePage.sectorSize) == 0
            && buffers.allSatisfy {
                $0.count % FilePage.sectorSize == 0 && UInt(bitPattern: $0.baseAddress) % UInt(FilePage.sectorSize) == 0
            }
    }

    // MARK: Position, end

    override func seek(_ offset: Int64, _ from: Int32) throws(CallError) -> Int64 {
        let limit = SimulatedFileSystem.maximumSize
        switch from {
        case CK_SEEK_SET: return try moved(to: offset, limit: limit)
        case CK_SEEK_CUR: return try moved(to: sum(position, offset), limit: limit)
        case CK_SEEK_END: return try moved(to: sum(file.size, offset), limit: limit)
        case CK_SEEK_DATA, CK_SEEK_HOLE:
            try require(offset >= 0 && offset < file.size, ENXIO)
            return try moved(to: file.next(from == CK_SEEK_DATA, from: offset), limit: limit)
        default: throw CallError(EINVAL)
        }
    }

    private func sum(_ a: Int64, _ b: Int64) -> Int64? {
        let (sum, overflows) = a.addingReportingOverflow(b)
        return overflows ? nil : sum
    }

    override func lastClose() {
        if file.isEmptied {
            // ext4's auto_da_alloc: a file that was truncated to nothing is saved when it is closed
            // (ext4_release_file; "replace via truncate" in Documentation/admin-guide/ext4.rst).
            file.isEmptied = false
            file.saveWith(fileSystem.begin())
            if let committed = file.forgetOldestChange() { fileSystem.journal.commit(through: committed) }
        }
        super.lastClose()
    }
}

extension RegularFile {
    /// SEEK_DATA and SEEK_HOLE; the end of the file is a hole. ENXIO if no data follows.
    func next(_ data: Bool, from offset: Int64) throws(CallError) -> Int64 {
        let pageSize = Int64(FilePage.size)
        let first = Int(offset / pageSize)
        if image.isData(first) == data { return offset }
        guard data else {
            let hole = (first..<image.pageCountOfSize).first { !image.isData($0) }
            return min(size, Int64(hole ?? image.pageCountOfSize) * pageSize)
        }
        guard let page = image.firstData(from: first), Int64(page) * pageSize < size else { throw CallError(ENXIO) }
        return max(offset, Int64(page) * pageSize)
    }
}
