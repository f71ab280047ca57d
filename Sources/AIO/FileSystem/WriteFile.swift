internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Writes all of the caller's memory to a file: by default a new one, or in place of what the file held.
    ///
    /// One operation on a worker opens, writes and closes it. With the options `.sync` or `.dataSync` it is durable
    /// when this returns; its name is, once the folder was synced. `permissions` (less the umask) are for a file that is
    /// made. The memory is borrowed until this returns. After an error or a cancel, some of it may be written. Throws
    /// `invalidArgument` for what is neither a regular file nor a block device. openat2(2), write(2), close(2).
    public static func writeFile(
        _ path: Path, _ bytes: RawSpan, options: File.OpenOptions = [.create, .truncate], permissions: UInt16 = 0o644,
        runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        let memory = bytes.withUnsafeBytes { $0 }
        let work = try WholeFileWrite(path, memory, options.rawValue, permissions, deadline)
        do throws(IOError) {
            _ = try await runtime.perform(work, "write", path, deadline)
        } catch {
            var error = error
            if work.isRefused { error.advice = WholeFile.advice }
            throw error
        }
    }

    /// `writeFile` from an array.
    public static func writeFile(
        _ path: Path, _ bytes: [UInt8], options: File.OpenOptions = [.create, .truncate], permissions: UInt16 = 0o644,
        runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        try await writeFile(
            path, bytes.span.bytes, options: options, permissions: permissions, runtime: runtime, deadline: deadline)
    }
}

/// Opens, writes everything, and closes.
private final class WholeFileWrite: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says; the bytes are borrowed from a caller that waits.
    private let path: UnsafeMutablePointer<CChar>
    private let bytes: UnsafeRawBufferPointer
    private let flags: UInt64
    private let permissions: UInt16
    /// Whether it is a kind of file that is not written at once.
    private(set) var isRefused = false

    init(
        _ path: Path, _ bytes: UnsafeRawBufferPointer, _ flags: UInt64, _ permissions: UInt16, _ deadline: Deadline
    ) throws(IOError) {
        self.path = try path.copyCString(for: "write")
        self.bytes = bytes
        self.flags = flags
        self.permissions = permissions
        super.init(deadline: deadline.nanoseconds)
    }

    deinit { path.deallocate() }

    override func run() -> Int {
        let descriptor = WholeFile.open(path, CK_O_WRONLY | flags, permissions)
        guard descriptor >= 0 else { return descriptor }
        let result = write(Int32(descriptor))
        // What the file system had put off may fail now.
        let closed = Kernel.close(Int32(descriptor))
        return result < 0 ? result : closed
    }

    private func write(_ descriptor: Int32) -> Int {
        let size = WholeFile.size(of: descriptor)
        guard size >= 0 else {
            isRefused = size == -Int(EINVAL)
            return size
        }
        var done = 0
        while done < bytes.count {
            guard !shouldEnd else { return -Int(ECANCELED) }
            let part = min(bytes.count - done, WholeFile.chunkSize)
            let result = Kernel.write(descriptor, bytes.baseAddress! + done, part)
            if result == -Int(EINTR) { continue }
            guard result > 0 else { return result < 0 ? result : -Int(ENOSPC) }
            done += result
        }
        return 0
    }
}
