internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Writes all of the caller's memory to a file: by default a new one, or in place of what the file held.
    ///
    /// Who reads the file meanwhile sees a part: `replaceFile` changes all of it at one instant.
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
        let work = try WholeFileWrite(path, .workingDirectory, memory, options.rawValue, permissions, deadline)
        try await runtime.perform(work, path, deadline)
    }

    /// `writeFile` from an array.
    public static func writeFile(
        _ path: Path, _ bytes: [UInt8], options: File.OpenOptions = [.create, .truncate], permissions: UInt16 = 0o644,
        runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        try await writeFile(
            path, bytes.span.bytes, options: options, permissions: permissions, runtime: runtime, deadline: deadline)
    }

    /// `writeFile` by a path that begins at `folder` (a file opened with `.directory`) and, unless `confinement` says
    /// otherwise, stays below it.
    public static func writeFile(
        _ path: Path, in folder: File, confinement: File.Confinement = .beneath, _ bytes: RawSpan,
        options: File.OpenOptions = [.create, .truncate], permissions: UInt16 = 0o644, deadline: Deadline = .never
    ) async throws(IOError) {
        try folder.begin("write", deadline)
        defer { folder.lease.end() }
        let memory = bytes.withUnsafeBytes { $0 }
        let origin = PathOrigin(folder, confinement)
        let work = try WholeFileWrite(path, origin, memory, options.rawValue, permissions, deadline)
        try await folder.runtime.perform(work, path, deadline)
    }

    /// `writeFile` in a folder, from an array.
    public static func writeFile(
        _ path: Path, in folder: File, confinement: File.Confinement = .beneath, _ bytes: [UInt8],
        options: File.OpenOptions = [.create, .truncate], permissions: UInt16 = 0o644, deadline: Deadline = .never
    ) async throws(IOError) {
        try await writeFile(
            path, in: folder, confinement: confinement, bytes.span.bytes, options: options, permissions: permissions,
            deadline: deadline)
    }
}

extension IORuntime {
    fileprivate func perform(_ work: WholeFileWrite, _ path: Path, _ deadline: Deadline) async throws(IOError) {
        do throws(IOError) {
            _ = try await perform(work, "write", path, deadline)
        } catch {
            var error = error
            if work.isRefused { error.advice = WholeFile.advice }
            throw error
        }
    }
}

/// Opens, writes everything, and closes.
private final class WholeFileWrite: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says; the bytes are borrowed from a caller that waits.
    private let path: UnsafeMutablePointer<CChar>
    private let origin: PathOrigin
    private let bytes: UnsafeRawBufferPointer
    private let flags: UInt64
    private let permissions: UInt16
    /// Whether it is a kind of file that is not written at once.
    private(set) var isRefused = false

    init(
        _ path: Path, _ origin: PathOrigin, _ bytes: UnsafeRawBufferPointer, _ flags: UInt64, _ permissions: UInt16,
        _ deadline: Deadline
    ) throws(IOError) {
        self.path = try path.copyCString(for: "write")
        self.origin = origin
        self.bytes = bytes
        self.flags = flags
        self.permissions = permissions
        super.init(deadline: deadline.nanoseconds)
    }

    deinit { path.deallocate() }

    override func run() -> Int {
        let descriptor = WholeFile.open(path, CK_O_WRONLY | flags, permissions, from: origin)
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
        return WholeFile.write(bytes, descriptor, self)
    }
}
