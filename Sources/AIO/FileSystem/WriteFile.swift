internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Writes all of the caller's memory to a file: by default to a new file, or in place of an existing file's
    /// content.
    ///
    /// A concurrent reader may see part of the content;
    /// ``replaceFile(_:_:durability:permissions:followLinks:runtime:deadline:)-(_,RawSpan,_,_,_,_,_)`` changes it
    /// atomically. One operation on a worker opens, writes and closes the file. `permissions`, less the umask, apply to
    /// a file that the call creates. The memory is borrowed until the call returns. With the options
    /// ``File/OpenOptions/sync`` or ``File/OpenOptions/dataSync`` the content is durable when the call returns; a new
    /// name is durable only after a sync of its directory. After an error or a cancellation, part of the content may be
    /// written. Kernel calls: openat2(2), write(2), close(2).
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the file is neither a regular file nor a block device;
    ///   ``IOError/Code/noSpace``; ``IOError/Code/cancelled``; ``IOError/Code/deadlineExceeded``; or another error of a
    ///   kernel call.
    public static func writeFile(
        _ path: Path, _ bytes: RawSpan, options: File.OpenOptions = [.create, .truncate], permissions: UInt16 = 0o644,
        runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        let memory = bytes.withUnsafeBytes { $0 }
        let work = try WholeFileWrite(path, .workingDirectory, memory, options.rawValue, permissions, deadline)
        try await runtime.perform(work, path, deadline)
    }

    /// Writes an array to a file, by default to a new file, or in place of an existing file's content. Everything else
    /// is as from a span: ``writeFile(_:_:options:permissions:runtime:deadline:)-(_,RawSpan,_,_,_,_)``.
    public static func writeFile(
        _ path: Path, _ bytes: [UInt8], options: File.OpenOptions = [.create, .truncate], permissions: UInt16 = 0o644,
        runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        try await writeFile(
            path, bytes.span.bytes, options: options, permissions: permissions, runtime: runtime, deadline: deadline)
    }

    /// Writes all of the caller's memory to a file, by a path relative to `directory`, a file opened with
    /// ``File/OpenOptions/directory``. The path must stay below the directory unless `confinement` says otherwise.
    ///
    /// The directory is in use until the call returns, so closing it waits. Everything else is as without a directory.
    ///
    /// - Throws: `EXDEV` or `ELOOP` (``IOError/errno``) for what `confinement` forbids, and the errors of
    ///   ``writeFile(_:_:options:permissions:runtime:deadline:)-(_,RawSpan,_,_,_,_)``.
    public static func writeFile(
        _ path: Path, in directory: File, confinement: File.Confinement = .beneath, _ bytes: RawSpan,
        options: File.OpenOptions = [.create, .truncate], permissions: UInt16 = 0o644, deadline: Deadline = .never
    ) async throws(IOError) {
        try directory.begin("write", deadline)
        defer { directory.lease.end() }
        let memory = bytes.withUnsafeBytes { $0 }
        let origin = PathOrigin(directory, confinement)
        let work = try WholeFileWrite(path, origin, memory, options.rawValue, permissions, deadline)
        try await directory.runtime.perform(work, path, deadline)
    }

    /// Writes an array to a file, by a path relative to `directory`. Everything else is as from a span:
    /// ``writeFile(_:in:confinement:_:options:permissions:deadline:)-(_,_,_,RawSpan,_,_,_)``.
    public static func writeFile(
        _ path: Path, in directory: File, confinement: File.Confinement = .beneath, _ bytes: [UInt8],
        options: File.OpenOptions = [.create, .truncate], permissions: UInt16 = 0o644, deadline: Deadline = .never
    ) async throws(IOError) {
        try await writeFile(
            path, in: directory, confinement: confinement, bytes.span.bytes, options: options, permissions: permissions,
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

/// Opens a file, writes all bytes, and closes it.
private final class WholeFileWrite: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says; the bytes are borrowed from a caller that waits.
    private let path: UnsafeMutablePointer<CChar>
    private let origin: PathOrigin
    private let bytes: UnsafeRawBufferPointer
    private let flags: UInt64
    private let permissions: UInt16
    /// Whether the file is of a kind that is not written as a whole.
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
        // close(2) may report a write error that the file system deferred.
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
