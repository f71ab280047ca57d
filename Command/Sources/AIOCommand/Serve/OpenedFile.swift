import AIO
import AIOCore
import CKernel

/// A file or folder that is open for one response. Its owner must close it.
struct OpenedFile {
    private let descriptor: Descriptor
    /// For calls that may have to wait; created on demand.
    private var file: File?
    let isFolder: Bool
    let size: Int64
    let validators: Validators

    /// Adopts a descriptor that was opened on the calling thread. Closes it if it is neither a regular file nor a
    /// folder.
    init(adopting number: Int32, _ backing: Descriptor.Backing, now: Int64) throws(Refusal) {
        var status = ck_statx()
        var empty: CChar = 0
        let mask = CK_STATX_BASIC_STATS
        let result = Kernel.statx(number, &empty, CK_AT_EMPTY_PATH | CK_AT_STATX_DONT_SYNC, mask, &status)
        let type = status.mode & CK_S_IFMT
        guard result >= 0, type == CK_S_IFREG || type == CK_S_IFDIR else {
            Kernel.close(number)
            throw Refusal(result >= 0 ? .forbidden : .internalServerError)
        }
        var descriptor = Descriptor(number, kind: type == CK_S_IFREG ? .buffered : .other)
        descriptor.backing = backing
        self.descriptor = descriptor
        isFolder = type == CK_S_IFDIR
        size = Int64(bitPattern: status.size)
        let time = status.modification_time
        validators = Validators(
            inode: status.inode, size: size, modified: time.seconds, nanoseconds: time.nanoseconds, now: now)
    }

    /// Adopts a file that a loop opened; otherwise as above.
    init(_ file: File, now: Int64) async throws(Refusal) {
        let status: FileStatus
        do throws(IOError) {
            status = try await file.status()
            guard status.isRegularFile || status.isDirectory else { throw IOError(.permissionDenied, "open") }
        } catch {
            try? await file.close()
            throw Refusal(error.code == .permissionDenied ? .forbidden : .internalServerError)
        }
        self.file = file
        descriptor = file.descriptor
        isFolder = status.isDirectory
        size = status.size
        let (seconds, attoseconds) = status.modificationTime.components
        validators = Validators(
            inode: status.inode, size: size, modified: attoseconds < 0 ? seconds - 1 : seconds,
            nanoseconds: UInt32(
                (attoseconds < 0 ? attoseconds + 1_000_000_000_000_000_000 : attoseconds) / 1_000_000_000),
            now: now)
    }

    var number: Int32 { descriptor.number }

    /// Reads at `offset` into memory that the caller keeps valid until the call returns. Returns the number of bytes;
    /// zero at the end.
    mutating func read(into memory: UnsafeMutableRawBufferPointer, at offset: Int64, _ runtime: IORuntime)
        async throws(IOError) -> Int
    {
        if file == nil, let count = readNow(memory, offset) { return count }
        var bytes = MutableRawSpan(_unsafeBytes: memory)
        return try await waitingFile(runtime).read(into: &bytes, at: offset)
    }

    /// nil unless the page cache can serve the read.
    private func readNow(_ memory: UnsafeMutableRawBufferPointer, _ offset: Int64) -> Int? {
        let transfer = Transfer(
            descriptor, memory.baseAddress, count: min(memory.count, Transfer.inlineLimit), offset: offset)
        guard case .done(let count) = transfer.ask(), count >= 0 else { return nil }
        return count
    }

    /// The file as an `AIO.File`, whose calls go through a loop if they have to wait.
    mutating func waitingFile(_ runtime: IORuntime) -> File {
        if let file { return file }
        let adopted = File(adopting: descriptor.number, runtime: runtime)
        file = adopted
        return adopted
    }

    /// close(2). A file without `file` was read without waiting, so its file system is local and has nothing to write
    /// back at the close. But if the file was unlinked meanwhile, the close frees its blocks, which takes time for a
    /// large file.
    mutating func close(_ runtime: IORuntime) async {
        if file == nil, size <= 1 << 20 {
            Kernel.close(descriptor.number)
        } else {
            try? await waitingFile(runtime).close()
        }
    }
}
