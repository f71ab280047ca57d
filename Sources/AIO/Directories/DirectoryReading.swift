internal import AIOCore
internal import CKernel

/// Reads a directory in batches, each one operation on a worker.
///
/// The directory is open from the first batch to the last, and as long as others keep it open. Between two batches it
/// may be released; the next batch then opens it again and continues at the saved position.
final class DirectoryReading: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says; one task at a time asks for a batch.
    let path: Path
    let directory: TreeDirectory
    private let options: DirectoryOptions
    private let runtime: IORuntime
    private let deadline: Deadline
    /// The only device on which the directory may lie; nil for any.
    private let device: UInt64?

    private var opened: OpenDirectory?
    private var position: Int64 = 0
    private var entries: [DirectoryEntry] = []
    /// Not to be read while a batch is in flight, which may set it on a worker.
    private(set) var isAtEnd = false
    /// Whether the directory stays open after its last batch, for opens relative to it.
    enum Stay { case closes, staysForDirectories, stays }
    private let stay: Stay
    private var hasDirectories = false

    /// The size of the buffer for one getdents64(2), that of readdir(3) in glibc.
    private static var bufferSize: Int { 32768 }
    /// A batch has at least this many entries, unless the directory ends.
    private static var entriesMin: Int { 256 }
    /// Above this number of entries, several workers read the status.
    private static var sliceSize: Int { 128 }

    init(
        _ path: Path, _ directory: TreeDirectory, _ options: DirectoryOptions, device: UInt64? = nil,
        _ stay: Stay = .closes, runtime: IORuntime, _ deadline: Deadline
    ) {
        self.path = path
        self.directory = directory
        self.options = options
        self.runtime = runtime
        self.deadline = deadline
        self.device = device
        self.stay = stay
        super.init(deadline: deadline.nanoseconds)
    }

    /// The directory's identity; known after the first batch.
    var file: FileIdentity { directory.file ?? FileIdentity() }

    /// Closes the directory between two batches.
    func release() {
        opened = nil
        directory.release()
    }

    /// Closes the directory, unless others still use it.
    func end() {
        opened = nil
        directory.end()
    }

    /// The next entries; empty at the end.
    func nextBatch() async throws(IOError) -> [DirectoryEntry] {
        guard !isAtEnd else { return [] }
        _ = try await runtime.perform(self, "readdir", path, deadline)
        defer { entries = [] }
        if entries.count > Self.sliceSize, needsStatuses {
            try await fillSlices()
            if isAtEnd { leave() }
        }
        if options.contains(.sorted) { entries.sort { $0.name < $1.name } }
        return entries
    }

    private var needsStatuses: Bool { options.contains(.status) }

    private func statuses(_ directory: OpenDirectory) -> EntryStatuses {
        EntryStatuses(
            directory: directory, wantsStatus: options.contains(.status), followLinks: options.contains(.followLinks))
    }

    /// Called after the last batch.
    private func leave() {
        opened = nil
        if stay == .closes || stay == .staysForDirectories && !hasDirectories { directory.end() }
    }

    // MARK: On a worker

    override func run() -> Int {
        let directory: OpenDirectory
        switch open() {
        case .success(let found): directory = found
        case .failure(let failure): return failure.result
        }
        guard !isAtEnd else { return 0 }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferSize, alignment: 8)
        defer { buffer.deallocate() }
        repeat {
            guard !shouldEnd else { return -Int(ECANCELED) }
            let result = read(directory, buffer)
            guard result >= 0 else { return result }
        } while !isAtEnd && (entries.count < Self.entriesMin || options.contains(.sorted))
        if entries.count <= Self.sliceSize || !needsStatuses {
            statuses(directory).fill(&entries, entries.indices) { shouldEnd }
            if isAtEnd { leave() }
        }
        return shouldEnd ? -Int(ECANCELED) : 0
    }

    /// Opens the directory, if necessary again at the saved position.
    private func open() -> Result<OpenDirectory, DirectoryFailure> {
        if let opened { return .success(opened) }
        return directory.open().flatMap { found in
            opened = found
            guard device == nil || device == found.file.device else {
                isAtEnd = true
                end()
                return .success(found)
            }
            // Other users of the descriptor only resolve names; the read position belongs to this object.
            let result = Kernel.lseek(found.number, position, CK_SEEK_SET)
            return result >= 0 ? .success(found) : .failure(DirectoryFailure(result: result))
        }
    }

    private func read(_ directory: OpenDirectory, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = Kernel.getdents64(directory.number, buffer.baseAddress!, buffer.count)
        // ENOENT: the directory has been removed in the meantime.
        guard count > 0 else {
            isAtEnd = count == 0 || count == -Int(ENOENT)
            return isAtEnd ? 0 : count
        }
        var records = DirectoryRecords(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        while let record = records.next() {
            // An entry of unknown type may be a directory, and a link to one may be followed.
            switch record.type {
            case CK_DT_DIR, CK_DT_UNKNOWN, CK_DT_LNK: hasDirectories = true
            default: break
            }
            entries.append(
                DirectoryEntry(
                    name: record.name, type: FileType(entry: record.type), inode: record.inode))
        }
        position = records.position
        return 0
    }

    // MARK: Large batches

    private func fillSlices() async throws(IOError) {
        guard let opened else { return }
        let (all, statuses, runtime, path, deadline) = (entries, statuses(opened), runtime, path, deadline)
        let slices = stride(from: 0, to: all.count, by: Self.sliceSize).map { start in
            StatusSlice(statuses, Array(all[start..<min(start + Self.sliceSize, all.count)]), deadline: deadline)
        }
        let failure = await withTaskGroup(of: IOError?.self) { group in
            for slice in slices {
                group.addTask {
                    do throws(IOError) {
                        _ = try await runtime.perform(slice, "stat", path, deadline)
                        return nil
                    } catch {
                        return error
                    }
                }
            }
            return await group.reduce(nil) { $0 ?? $1 }
        }
        if let failure { throw failure }
        entries = slices.flatMap(\.entries)
    }
}
