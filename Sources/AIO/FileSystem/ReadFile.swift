internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Reads a file from its beginning to its end, however long it says to be: files of /proc and /sys, and files that
    /// grow meanwhile, are read until a read finds nothing more.
    ///
    /// One operation on a worker opens, reads and closes it. Throws `fileTooLarge` if there are more than `limit`
    /// bytes, and `invalidArgument` for what is neither a regular file nor a block device: a pipe might never end.
    /// Throws `cancelled` or `deadlineExceeded` between two reads. openat2(2), statx(2), read(2), close(2).
    public static func readFile(
        _ path: Path, limit: Int = 1 << 30, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> [UInt8] {
        try await runtime.readFile(path, .workingDirectory, limit, deadline)
    }

    /// `readFile` by a path that begins at `folder` (a file opened with `.directory`) and, unless `confinement` says
    /// otherwise, stays below it.
    public static func readFile(
        _ path: Path, in folder: File, confinement: File.Confinement = .beneath, limit: Int = 1 << 30,
        deadline: Deadline = .never
    ) async throws(IOError) -> [UInt8] {
        try folder.begin("read", deadline)
        defer { folder.lease.end() }
        return try await folder.runtime.readFile(path, PathOrigin(folder, confinement), limit, deadline)
    }
}

extension IORuntime {
    fileprivate func readFile(
        _ path: Path, _ origin: PathOrigin, _ limit: Int, _ deadline: Deadline
    ) async throws(IOError) -> [UInt8] {
        let work = try WholeFileRead(path, origin, limit: limit, deadline)
        do throws(IOError) {
            _ = try await perform(work, "read", path, deadline)
            return work.content
        } catch {
            var error = error
            switch error.code {
            case .fileTooLarge: error.advice = "it has more than \(limit) bytes; raise the limit, or open it"
            case .invalidArgument where work.isRefused: error.advice = WholeFile.advice
            default: break
            }
            throw error
        }
    }
}

/// What one-shot reads and writes of a file have in common.
enum WholeFile {
    static var advice: String { "it is neither a regular file nor a block device; open it" }

    /// Bytes that one system call transfers at most, so that a cancel is heeded in between.
    static var chunkSize: Int { 8 << 20 }

    /// Opens without waiting for the other end of a FIFO. Somebody's lease on the file, which is given up at once or
    /// after a time, is waited for.
    static func open(
        _ path: UnsafePointer<CChar>, _ flags: UInt64, _ permissions: UInt16, from origin: PathOrigin
    ) -> Int {
        let flags = flags | CK_O_NOCTTY
        let result = origin.open(path, flags | CK_O_NONBLOCK, permissions: permissions)
        return result == -Int(EAGAIN) ? origin.open(path, flags, permissions: permissions) : result
    }

    /// Writes everything at the descriptor's position, unless the work is to end. 0 or a negative errno.
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

    /// The size that the file says to have, or a negative errno: EINVAL if reading it could wait for ever.
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

/// Opens, reads to the end, and closes.
private final class WholeFileRead: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let path: UnsafeMutablePointer<CChar>
    private let origin: PathOrigin
    private let limit: Int
    private(set) var content: [UInt8] = []
    /// Whether it is a kind of file that is not read at once.
    private(set) var isRefused = false

    init(_ path: Path, _ origin: PathOrigin, limit: Int, _ deadline: Deadline) throws(IOError) {
        self.path = try path.copyCString(for: "read")
        self.origin = origin
        self.limit = min(max(limit, 0), Int.max - 1)
        super.init(deadline: deadline.nanoseconds)
    }

    deinit { path.deallocate() }

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
        // One byte more than it says: a read that does not fill the room is then followed by one that finds the end.
        // What a file says is not always true, and memory may not be had: no more than this before anything is read.
        var room = min(max(size + 1, 16384), 1 << 30)
        while true {
            let result = read(Int32(descriptor), room)
            guard result > 0 else { return result }
            guard content.count <= limit else { return -Int(EFBIG) }
            room = max(content.count, 65536)
        }
    }

    /// Reads until `room` more bytes are there, or the file's end. Returns 0 at the end, a negative errno, or more.
    private func read(_ descriptor: Int32, _ room: Int) -> Int {
        // One byte above the limit tells that there are too many.
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
        // The first piece is mostly all.
        if content.isEmpty { content = piece } else { content += piece }
        return result
    }
}
