public import AIOCore
internal import CKernel

extension File {
    /// Appends the caller's memory to the file, and returns where it was written: the offset of the first byte, and the
    /// number of bytes.
    ///
    /// The file need not be opened with ``OpenOptions/append``. Any number of tasks, programs and other `File`s may
    /// append to one file at a time: each append is contiguous, none overwrites another, and each call returns its own
    /// offset. (On NFS, appends of several machines may overwrite each other; see open(2).) The number of bytes may be
    /// less than the size of the memory: the disk is full, or a limit is reached. The rest, if it is appended by
    /// another call, does not necessarily follow. The memory is borrowed until the call returns. After
    /// ``IOError/Code/cancelled`` or ``IOError/Code/deadlineExceeded`` nothing was written.
    ///
    /// The kernel does not return the offset of an append. The call takes it from the position of the open file, which
    /// is where a write at the current position ends. That position belongs to this `File`, whose calls that use it
    /// exclude each other. It is shared with duplicates of the descriptor, though, also in child processes: if one of
    /// them reads, writes or seeks at its current position, the offset that an append returns may be wrong. What is
    /// written, and that it is at the end, is not affected.
    ///
    /// One operation on a worker. Kernel calls: pwritev2(2) with RWF_APPEND and an offset of -1, lseek(2).
    ///
    /// - Throws: ``IOError/Code/notSupported`` if the file has no positions (pipes, sockets, directories); otherwise
    ///   the errors of ``write(_:at:flags:deadline:)-(RawSpan,_,_,_)``.
    public func append(
        _ bytes: RawSpan, flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) -> (offset: Int64, count: Int) {
        guard descriptor.kind == .buffered || descriptor.kind == .direct else {
            throw IOError(.notSupported, "append", path: path, advice: "it is no file with positions; use write")
        }
        let append = Append(self, bytes.withUnsafeBytes { $0 }, flags, deadline)
        let count = try await perform(append, deadline, "append")
        return (append.offset, Int(count))
    }

    /// Appends an array to the file, and returns where it was written. Everything else is as for a span:
    /// ``append(_:flags:deadline:)-(RawSpan,_,_)``.
    public func append(
        _ bytes: [UInt8], flags: TransferFlags = [], deadline: Deadline = .never
    ) async throws(IOError) -> (offset: Int64, count: Int) {
        try await append(bytes.span.bytes, flags: flags, deadline: deadline)
    }

    /// Carries out several system calls on a worker.
    func perform(_ work: BlockingWork, _ deadline: Deadline, _ name: String) async throws(IOError) -> Int32 {
        defer { work.takeBack() }
        return try await perform(.work(.passUnretained(work)), deadline, name)
    }
}

/// Appends, and determines where.
private final class Append: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says; the memory is borrowed from a caller that waits.
    private let file: File
    private let bytes: UnsafeRawBufferPointer
    private let flags: UInt32
    /// Valid once the work has been taken back.
    private(set) var offset: Int64 = 0

    init(_ file: File, _ bytes: UnsafeRawBufferPointer, _ flags: TransferFlags, _ deadline: Deadline) {
        self.file = file
        self.bytes = bytes
        self.flags = flags.rawValue | CK_RWF_APPEND
        super.init(deadline: deadline.nanoseconds)
    }

    override func run() -> Int {
        // Held during the write. This costs no concurrency: the kernel's inode lock admits one append at a time.
        file.position.withLock { _ in
            guard !bytes.isEmpty else { return note(Kernel.lseek(number, 0, CK_SEEK_END), count: 0) }
            var vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
            while true {
                let count = Kernel.pwritev2(number, &vector, 1, Transfer.currentPosition, flags)
                if count == -Int(EINTR) { continue }
                guard count >= 0 else { return count }
                return note(Kernel.lseek(number, 0, CK_SEEK_CUR), count: count)
            }
        }
    }

    private var number: Int32 { file.descriptor.number }

    private func note(_ end: Int, count: Int) -> Int {
        guard end >= 0 else { return end }
        offset = Int64(end - count)
        return count
    }
}

/// lseek(2) with SEEK_DATA or SEEK_HOLE, which returns an offset and moves the position of the open file as a side
/// effect.
final class PositionSeek: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let file: File
    private let offset: Int64
    private let from: Int32
    /// Valid once the work has been taken back.
    private(set) var position: Int64 = 0

    init(_ file: File, _ offset: Int64, _ from: Int32, _ deadline: Deadline) {
        self.file = file
        self.offset = offset
        self.from = from
        super.init(deadline: deadline.nanoseconds)
    }

    override func run() -> Int {
        let result = file.position.withLock { _ in Kernel.lseek(file.descriptor.number, offset, from) }
        guard result >= 0 else { return result }
        position = Int64(result)
        return 0
    }
}
