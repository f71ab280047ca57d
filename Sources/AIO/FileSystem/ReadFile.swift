internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Reads a whole file. The read ends when a read returns nothing, not at the reported size, so files of /proc and
    /// /sys are read completely, and so are files that grow meanwhile.
    ///
    /// A file of at most 256 KiB that the kernel has in its caches is read on the calling thread. Otherwise one
    /// operation on a worker opens, reads and closes the file; a cancellation or deadline takes effect between two
    /// reads. Kernel calls: openat2(2), statx(2), read(2), close(2).
    ///
    /// - Throws: ``IOError/Code/fileTooLarge`` if the file has more than `limit` bytes;
    ///   ``IOError/Code/invalidArgument`` if it is neither a regular file nor a block device, since a pipe might never
    ///   end; ``IOError/Code/cancelled``; ``IOError/Code/deadlineExceeded``; or the error of a kernel call, such as
    ///   ``IOError/Code/notFound``.
    public static func readFile(
        _ path: Path, limit: Int = 1 << 30, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> [UInt8] {
        try await runtime.readFile(path, .workingDirectory, limit, deadline)
    }

    /// Reads a whole file by a path relative to `directory`, a file opened with ``File/OpenOptions/directory``. The
    /// path must stay below the directory unless `confinement` says otherwise.
    ///
    /// The directory is in use until the call returns, so closing it waits. Everything else is as without a directory.
    ///
    /// - Throws: `EXDEV` or `ELOOP` (``IOError/errno``) for what `confinement` forbids, and the errors of
    ///   ``readFile(_:limit:runtime:deadline:)``.
    public static func readFile(
        _ path: Path, in directory: File, confinement: File.Confinement = .beneath, limit: Int = 1 << 30,
        deadline: Deadline = .never
    ) async throws(IOError) -> [UInt8] {
        try directory.begin("read", deadline)
        defer { directory.lease.end() }
        return try await directory.runtime.readFile(path, PathOrigin(directory, confinement), limit, deadline)
    }
}

extension IORuntime {
    fileprivate func readFile(
        _ path: Path, _ origin: PathOrigin, _ limit: Int, _ deadline: Deadline
    ) async throws(IOError) -> [UInt8] {
        let work = try WholeFileRead(path, origin, limit: limit, deadline)
        do throws(IOError) {
            if let content = try attempted("read", path, deadline, { work.attempt() }) { return content }
            _ = try await perform(work, "read", path, deadline)
            return work.content
        } catch {
            var error = error
            switch error.code {
            case .fileTooLarge:
                error.advice = "the file has more than \(limit) bytes; raise the limit, or read it in pieces"
            case .invalidArgument where work.isRefused: error.advice = WholeFile.advice
            default: break
            }
            throw error
        }
    }
}

/// Common parts of reading and writing a whole file.
enum WholeFile {
    static var advice: String { "it is neither a regular file nor a block device; open it, and read it in pieces" }

    /// The maximum number of bytes in one system call. A cancellation takes effect between two calls.
    static var chunkSize: Int { 8 << 20 }

    /// Opens without waiting for the other end of a FIFO. If another process holds a lease on the file, which makes the
    /// non-blocking open fail with EAGAIN, the call waits until the lease is released or broken.
    static func open(
        _ path: UnsafePointer<CChar>, _ flags: UInt64, _ permissions: UInt16, from origin: PathOrigin
    ) -> Int {
        let flags = flags | CK_O_NOCTTY
        let result = origin.open(path, flags | CK_O_NONBLOCK, permissions: permissions)
        return result == -Int(EAGAIN) ? origin.open(path, flags, permissions: permissions) : result
    }

    /// Writes all bytes at the descriptor's position, unless the work should end. Returns 0 or a negative errno.
    static func write(_ bytes: UnsafeRawBufferPointer, _ descriptor: Int32, _ work: BlockingWork) -> Int {
        var done = 0
        while done < bytes.count {
            guard !work.shouldEnd else { return -Int(ECANCELED) }
            let part = min(bytes.count - done, chunkSize)
            let result = Kernel.write(descriptor, bytes.baseAddress! + done, part)
            if result == -Int(EINTR) { continue }
            guard result > 0 else { return result < 0 ? result : -Int(ENOSPC) }
            done += result
        }
        return 0
    }

    /// The reported size, or a negative errno: EINVAL for a kind of file whose read could wait indefinitely.
    static func size(of descriptor: Int32) -> Int {
        var status = ck_statx()
        let result = Kernel.status(descriptor, CK_STATX_TYPE | CK_STATX_SIZE, &status)
        guard result == 0 else { return result }
        switch status.mode & CK_S_IFMT {
        case CK_S_IFREG, CK_S_IFBLK: return Int(clamping: status.size)
        case CK_S_IFDIR: return -Int(EISDIR)
        default: return -Int(EINVAL)
        }
    }
}

/// Opens a file, reads it to the end, and closes it.
private final class WholeFileRead: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let path: UnsafeMutablePointer<CChar>
    private let origin: PathOrigin
    private let limit: Int
    private(set) var content: [UInt8] = []
    /// Whether the file is of a kind that is not read as a whole.
    private(set) var isRefused = false

    init(_ path: Path, _ origin: PathOrigin, limit: Int, _ deadline: Deadline) throws(IOError) {
        self.path = try path.copyCString(for: "read")
        self.origin = origin
        self.limit = min(max(limit, 0), Int.max - 1)
        super.init(deadline: deadline.nanoseconds)
    }

    deinit { path.deallocate() }

    // MARK: On the calling thread

    /// Reads the file if that need not wait.
    func attempt() -> CachedLookup.Answer<[UInt8]> {
        let flags = CK_O_RDONLY | CK_O_CLOEXEC | CK_O_NOCTTY | CK_O_NONBLOCK
        switch CachedLookup.open(origin.directory, path, ck_open_how(flags: flags, mode: 0, resolve: origin.resolve)) {
        case .failed(let errno): return .failed(errno)
        case .wait: return .wait
        case .undecided: return .undecided
        case .found(let file):
            defer { Kernel.close(file.descriptor.number) }
            return cachedContent(of: file)
        }
    }

    /// A path that was found says nothing about the content: content that is not cached is no miss.
    private func cachedContent(of file: CachedLookup.OpenedFile) -> CachedLookup.Answer<[UInt8]> {
        let size = Int(clamping: file.size)
        guard file.descriptor.kind == .buffered, size <= min(limit, Transfer.inlineLimit) else { return .wait }
        var isWhole = false
        // One byte more, which shows that the file has grown.
        let content = [UInt8](unsafeUninitializedCapacity: size + 1) { memory, count in
            let first = size == 0 || Self.read(file.descriptor, memory.baseAddress, size, at: 0) == size
            isWhole = first && Self.read(file.descriptor, memory.baseAddress.map { $0 + size }, 1, at: size) == 0
            count = isWhole ? size : 0
        }
        return isWhole ? .found(content) : .undecided
    }

    /// The bytes that the page cache had; nil if it would have had to wait.
    private static func read(_ file: Descriptor, _ memory: UnsafeMutablePointer<UInt8>?, _ count: Int, at offset: Int)
        -> Int?
    {
        guard case .done(let result) = Transfer(file, memory, count: count, offset: Int64(offset)).ask() else {
            return nil
        }
        return result
    }

    // MARK: On a worker

    override func run() -> Int {
        let descriptor = WholeFile.open(path, CK_O_RDONLY, 0, from: origin)
        guard descriptor >= 0 else { return descriptor }
        defer { Kernel.close(Int32(descriptor)) }
        let size = WholeFile.size(of: Int32(descriptor))
        guard size >= 0 else {
            isRefused = size == -Int(EINVAL)
            return size
        }
        guard size <= limit else { return -Int(EFBIG) }
        // One byte more than the reported size: a read that does not fill the room is followed by one that finds the
        // end. The reported size may be wrong and memory scarce, so the first allocation is limited to 1 GiB.
        var room = min(max(size + 1, 16384), 1 << 30)
        while true {
            let result = read(Int32(descriptor), room)
            guard result > 0 else { return result }
            guard content.count <= limit else { return -Int(EFBIG) }
            // Doubled, so that copying costs no more than reading.
            room = max(content.count, 65536)
        }
    }

    /// Reads until `room` more bytes have been read or the file ends. Returns 0 at the end, a negative errno, or a
    /// positive number.
    private func read(_ descriptor: Int32, _ room: Int) -> Int {
        // One byte above the limit shows that the file is too large.
        let room = min(room, limit - content.count + 1)
        var result = 1
        let piece = [UInt8](unsafeUninitializedCapacity: room) { memory, count in
            while count < room {
                guard !shouldEnd else {
                    result = -Int(ECANCELED)
                    return
                }
                let part = min(room - count, WholeFile.chunkSize)
                result = Kernel.read(descriptor, memory.baseAddress! + count, part)
                if result == -Int(EINTR) { continue }
                guard result > 0 else { return }
                count += result
            }
        }
        // The first piece is usually the whole file.
        if content.isEmpty { content = piece } else { content += piece }
        return result
    }
}
