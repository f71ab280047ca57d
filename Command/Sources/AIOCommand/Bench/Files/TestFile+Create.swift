import AIOCore
import CKernel
import Glibc

/// A temporary file with known content. It has no name, so that not even SIGKILL leaves it behind.
extension TestFile {
    /// Bytes per write.
    private static let chunkSize = 1 << 20

    /// Creates the file in `directory`. Messages call the directory `directoryName`.
    static func create(
        in directory: borrowing OpenDescriptor, directoryName: String, size: Int, order: WorkloadShape.Order,
        pattern: Pattern, progress: ProgressBar
    ) throws -> TestFile {
        try checkRoom(in: directory, directoryName, size: size)
        let descriptor = try openNameless(in: directory, directoryName)
        let file = TestFile(
            name: "the temporary file in \(directoryName)", size: size, descriptor: descriptor, isOurs: true,
            order: order)
        try file.reserve()
        try file.write(pattern, progress)
        return file
    }

    private static func checkRoom(in directory: borrowing OpenDescriptor, _ name: String, size: Int) throws(Failure) {
        var status = ck_statfs()
        let result = "/proc/self/fd/\(directory.number)".withCString { Kernel.statfs($0, &status) }
        guard result >= 0 else { throw Failure("statfs \(name)", result: result) }
        let room = Int(clamping: status.blocks_available).multipliedReportingOverflow(by: Int(status.block_size))
        // 1 % stays free for the file's metadata and for other programs.
        guard !room.overflow, room.partialValue / 100 * 99 < size else { return }
        throw Failure(
            "not enough space for \(ByteCount(size)) in \(name): \(ByteCount(room.partialValue)) are free (see --size)")
    }

    private static func openNameless(in directory: borrowing OpenDescriptor, _ name: String) throws(Failure)
        -> OpenDescriptor
    {
        var how = ck_open_how(flags: CK_O_RDWR | CK_O_TMPFILE | CK_O_DIRECTORY | CK_O_CLOEXEC, mode: 0o600, resolve: 0)
        let result = Kernel.openat2(directory.number, ".", &how)
        if result >= 0 { return OpenDescriptor(owning: Int32(result)) }
        guard result == -Int(EOPNOTSUPP) else { throw Failure("create a file in \(name)", result: result) }
        return try openAndUnlink(in: directory, name)
    }

    /// For file systems without O_TMPFILE: the file has a name only until it is open.
    private static func openAndUnlink(in directory: borrowing OpenDescriptor, _ name: String) throws(Failure)
        -> OpenDescriptor
    {
        let path = ".aio-bench-\(Kernel.processID())-\(UInt32.random(in: 0 ... .max))"
        var how = ck_open_how(flags: CK_O_RDWR | CK_O_CREAT | CK_O_EXCL | CK_O_CLOEXEC, mode: 0o600, resolve: 0)
        let result = path.withCString { Kernel.openat2(directory.number, $0, &how) }
        guard result >= 0 else { throw Failure("create a file in \(name)", result: result) }
        _ = path.withCString { Kernel.unlinkat(directory.number, $0, 0) }
        return OpenDescriptor(owning: Int32(result))
    }

    /// Reserves the blocks, so that a full file system fails at once.
    private func reserve() throws(Failure) {
        let result = Kernel.fallocate(descriptor.number, 0, 0, Int64(size))
        guard result < 0, result != -Int(EOPNOTSUPP) else { return }
        throw Failure("fallocate of \(ByteCount(size)) for \(name)", result: result)
    }

    private func write(_ pattern: Pattern, _ progress: ProgressBar) throws {
        let memory = BlockMemory(blockSize: TestFile.chunkSize, count: 1)
        for offset in stride(from: 0, to: size, by: TestFile.chunkSize) {
            try Interruption.check()
            progress.show("writing the test file", share: Double(offset) / Double(size))
            let count = min(TestFile.chunkSize, size - offset)
            pattern.fill(memory[0], count: count, offset: offset, generation: 0)
            try writeAll(UnsafeRawPointer(memory[0]), count: count, at: offset)
            // Writeback starts at once, which keeps the final fdatasync short: it cannot be interrupted.
            _ = Kernel.syncFileRange(
                descriptor.number, Int64(offset), Int64(count), CK_SYNC_FILE_RANGE_WRITE)
        }
        let result = Kernel.fdatasync(descriptor.number)
        guard result >= 0 else { throw Failure("fdatasync of \(name)", result: result) }
    }

    private func writeAll(_ bytes: UnsafeRawPointer, count: Int, at offset: Int) throws(Failure) {
        var done = 0
        while done < count {
            let result = Kernel.pwrite(descriptor.number, bytes + done, count - done, Int64(offset + done))
            if result == -Int(EINTR) { continue }
            guard result > 0 else { throw Failure("write to \(name)", result: result) }
            done += result
        }
    }
}
