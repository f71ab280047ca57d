internal import CKernel

extension FileSystem {
    /// The entries of a directory, except for `.` and `..`, with the type of each file and what `options` add.
    ///
    /// Each iteration reads the directory anew. One operation on a worker reads a batch of entries (about 32 KiB of
    /// names), and the next batch is read while the caller processes the current one. Therefore at most two batches are
    /// in memory, regardless of the directory's size, unless ``DirectoryOptions/sorted`` is given. Entries that are
    /// added or removed meanwhile may or may not be seen; every other entry is seen exactly once. The descriptor is
    /// closed at the end, after an error, and when the iterator is released. Kernel calls: openat2(2), getdents64(2),
    /// statx(2).
    ///
    /// The sequence throws ``IOError/Code/notFound``, ``IOError/Code/notDirectory``, ``IOError/Code/permissionDenied``,
    /// ``IOError/Code/cancelled``, ``IOError/Code/deadlineExceeded`` (`deadline` is that of the whole sequence), or
    /// another error of a kernel call.
    public static func entries(
        of path: Path, options: DirectoryOptions = [], runtime: IORuntime = .shared, deadline: Deadline = .never
    ) -> Entries {
        Entries(path: path, options: options, runtime: runtime, deadline: deadline)
    }
}

/// The entries of a directory: the result of ``FileSystem/entries(of:options:runtime:deadline:)``.
public struct Entries: AsyncSequence, Sendable {
    public typealias Element = DirectoryEntry
    public typealias Failure = IOError

    let path: Path
    let options: DirectoryOptions
    let runtime: IORuntime
    let deadline: Deadline

    public func makeAsyncIterator() -> EntryIterator { EntryIterator(self) }
}

/// Returns one entry after the other. One task uses it at a time.
public final class EntryIterator: AsyncIteratorProtocol {
    public typealias Element = DirectoryEntry
    public typealias Failure = IOError

    private let source: Entries
    private var batch: [DirectoryEntry] = []
    private var index = 0
    private var ahead: DirectoryAhead?
    private var isFinished = false

    init(_ source: Entries) { self.source = source }

    /// A batch in flight ends by itself and closes the directory.
    deinit { ahead?.cancel() }

    public func next() async throws(IOError) -> DirectoryEntry? { try await nextEntry() }

    public func next(isolation actor: isolated (any Actor)?) async throws(IOError) -> DirectoryEntry? {
        try await nextEntry()
    }

    private func nextEntry() async throws(IOError) -> DirectoryEntry? {
        // Checked here because an entry that was read ahead is returned without a suspension.
        if index < batch.count { try checkBeginning() }
        while index == batch.count {
            guard !isFinished else { return nil }
            do throws(IOError) {
                try checkBeginning()
                try await turn()
            } catch {
                isFinished = true
                throw error
            }
        }
        defer { index += 1 }
        return batch[index]
    }

    private func checkBeginning() throws(IOError) {
        do throws(IOError) { try IOLoop.checkBeginning(source.deadline.nanoseconds, "readdir") } catch {
            throw IOError(error.code, "readdir", path: source.path)
        }
    }

    /// Takes the next batch, and starts to read the one after it.
    private func turn() async throws(IOError) {
        let arriving = try takeAhead()
        let reading = arriving.reading
        batch = try await arriving.take()
        index = 0
        isFinished = reading.isAtEnd
        if !isFinished { ahead = DirectoryAhead(reading, source.runtime) }
    }

    private func takeAhead() throws(IOError) -> DirectoryAhead {
        defer { ahead = nil }
        if let ahead { return ahead }
        guard !source.path.hasInteriorNUL else {
            throw IOError(.invalidArgument, "open", path: source.path, advice: "the path contains a NUL byte")
        }
        let reading = DirectoryReading(
            source.path, TreeDirectory(root: source.path, CK_O_RDONLY), source.options, runtime: source.runtime,
            source.deadline)
        return DirectoryAhead(reading, source.runtime)
    }
}
