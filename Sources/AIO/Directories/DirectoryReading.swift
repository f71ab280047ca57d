internal import AIOCore
internal import CKernel

/// A directory that is read a batch at a time: opened by the first, closed by the last, one hand-over each.
///
/// It owns its descriptor. Between two batches that can be given up; the next one then opens the directory again, and
/// goes on where the last one ended.
final class DirectoryReading: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says; one task at a time asks for a batch.
    let path: Path
    private let options: DirectoryOptions
    private let runtime: IORuntime
    private let deadline: Deadline
    /// The only device that it may lie on, if not nil.
    private let device: UInt64?
    private let memory: UnsafeMutablePointer<CChar>

    private var descriptor: Int32 = -1
    private var position: Int64 = 0
    private var entries: [DirectoryEntry] = []
    private(set) var isAtEnd = false
    /// To tell it from others; known after the first batch.
    private(set) var file = FileIdentity()

    /// A call of getdents64(2) fills no more than this.
    private static var bufferSize: Int { 32768 }
    /// With fewer entries, and more to come, a batch is not handed back.
    private static var entriesMin: Int { 256 }
    /// Above this, several workers ask for the status.
    private static var sliceSize: Int { 128 }

    init(
        _ path: Path, _ options: DirectoryOptions, device: UInt64? = nil, _ runtime: IORuntime, _ deadline: Deadline
    ) throws(IOError) {
        self.path = path
        self.options = options
        self.runtime = runtime
        self.deadline = deadline
        self.device = device
        memory = try path.copyCString(for: "open")
        super.init(deadline: deadline.nanoseconds)
    }

    deinit {
        release()
        memory.deallocate()
    }

    var isOpen: Bool { descriptor >= 0 }

    /// Closes the directory, to the end, also when the task is cancelled.
    func end() async {
        guard descriptor >= 0 else { return }
        let number = descriptor
        descriptor = -1
        try? await runtime.close(number, nil)
    }

    /// Gives the descriptor up, between two batches.
    func release() {
        if descriptor >= 0 { runtime.closeUnobserved(descriptor) }
        descriptor = -1
    }

    /// The next entries; none at the end.
    func nextBatch() async throws(IOError) -> [DirectoryEntry] {
        guard !isAtEnd else { return [] }
        _ = try await runtime.perform(self, "readdir", path, deadline)
        defer { entries = [] }
        if entries.count > Self.sliceSize, needsStatuses {
            try await fillSlices()
            if isAtEnd { await end() }
        }
        if options.contains(.sorted) { entries.sort { $0.name < $1.name } }
        return entries
    }

    private var needsStatuses: Bool { options.contains(.status) }

    private var statuses: EntryStatuses {
        EntryStatuses(
            directory: descriptor, wantsStatus: options.contains(.status), followLinks: options.contains(.followLinks))
    }

    // MARK: On a worker

    override func run() -> Int {
        if descriptor < 0 {
            let result = open()
            guard result >= 0, !isAtEnd else { return result }
        }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferSize, alignment: 8)
        defer { buffer.deallocate() }
        repeat {
            guard !shouldEnd else { return -Int(ECANCELED) }
            let result = read(buffer)
            guard result >= 0 else { return result }
        } while !isAtEnd && (entries.count < Self.entriesMin || options.contains(.sorted))
        if entries.count <= Self.sliceSize || !needsStatuses {
            statuses.fill(&entries, entries.indices) { shouldEnd }
            if isAtEnd { close() }
        }
        return shouldEnd ? -Int(ECANCELED) : 0
    }

    private func close() {
        Kernel.close(descriptor)
        descriptor = -1
    }

    private func open() -> Int {
        let place = LongPath(memory, count: path.count)
        guard place.result == 0 else { return place.result }
        var how = ck_open_how(flags: CK_O_RDONLY | CK_O_DIRECTORY | CK_O_CLOEXEC, mode: 0, resolve: 0)
        if !options.contains(.followLinks), isBelow { how.flags |= CK_O_NOFOLLOW }
        let result = Kernel.openat2(place.directory, place.rest, &how)
        guard result >= 0 else { return result }
        let found = FileIdentity(ofDescriptor: Int32(result))
        guard device == nil || device == found.device else {
            Kernel.close(Int32(result))
            isAtEnd = true
            return 0
        }
        return goOn(Int32(result), found)
    }

    /// Whether the path was found in a directory, so that it may not lead anywhere else.
    var isBelow = false

    /// Opened again, it must be the same, and is read on from where it was left.
    private func goOn(_ number: Int32, _ found: FileIdentity) -> Int {
        guard file == FileIdentity() || file == found else {
            Kernel.close(number)
            return -Int(ESTALE)
        }
        file = found
        descriptor = number
        return position == 0 ? 0 : min(Kernel.lseek(number, position, CK_SEEK_SET), 0)
    }

    private func read(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        let count = Kernel.getdents64(descriptor, buffer.baseAddress!, buffer.count)
        // ENOENT: the directory has been removed meanwhile.
        guard count > 0 else {
            isAtEnd = count == 0 || count == -Int(ENOENT)
            return isAtEnd ? 0 : count
        }
        var records = DirectoryRecords(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        while let record = records.next() {
            entries.append(
                DirectoryEntry(
                    name: Path(bytes: record.name), type: FileType(entry: record.type), inode: record.inode))
        }
        position = records.position
        return 0
    }

    // MARK: Many entries

    private func fillSlices() async throws(IOError) {
        let (all, statuses, runtime, path, deadline) = (entries, statuses, runtime, path, deadline)
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
