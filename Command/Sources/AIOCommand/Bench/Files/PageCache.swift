import AIOCore
import CKernel

/// Moves the file out of the page cache and into it.
extension TestFile {
    /// Bytes of the file in the page cache; nil before Linux 6.5, which has no cachestat(2).
    var cachedBytes: Int? {
        var range = ck_cachestat_range(offset: 0, count: UInt64(size))
        var status = ck_cachestat()
        guard Kernel.cachestat(descriptor.number, &range, &status) >= 0 else { return nil }
        return Int(status.cached) * Pattern.pageSize
    }

    /// Drops the file's pages from the page cache, and verifies that they are gone.
    func dropFromCache() throws(Failure) {
        // POSIX_FADV_DONTNEED keeps dirty pages.
        let synced = Kernel.fdatasync(descriptor.number)
        guard synced >= 0 else { throw Failure("fdatasync of \(name)", result: synced) }
        let dropped = Kernel.fadvise(descriptor.number, 0, 0, CK_FADV_DONTNEED)
        guard dropped >= 0 else { throw Failure("posix_fadvise of \(name)", result: dropped) }
        guard let left = cachedBytes, left * 100 > size else { return }
        let reason =
            fileSystem == "tmpfs"
            ? "tmpfs keeps files in memory; choose another --directory, or --memory-device"
            : "another program uses the file, or \(fileSystem) does not release them"
        throw Failure("\(name): \(ByteCount(left)) stay in the page cache: \(reason)")
    }

    /// Reads missing pages into the page cache. Returns the share that is cached afterwards, 0 to 1.
    func bringIntoCache() throws -> Double {
        // Reclaim can evict pages while others are read, so one pass is not always enough.
        for _ in 0..<TestFile.passesMax {
            if cachedShare == 1 { break }
            try readAll()
            if cachedBytes == nil { break }
        }
        return cachedShare ?? 1
    }

    private static let passesMax = 4

    private var cachedShare: Double? { cachedBytes.map { min(1, Double($0) / Double(size)) } }

    private func readAll() throws {
        let chunk = 1 << 20
        let memory = BlockMemory(blockSize: chunk, count: 1)
        for offset in stride(from: 0, to: size, by: chunk) {
            try Interruption.check()
            try readWhole(memory[0], count: min(chunk, size - offset), at: offset)
        }
    }
}
