internal import CKernel

extension FileSystem {
    /// The names in a directory, but for `.` and `..`, with the type of each file; more as `options` say.
    ///
    /// Each loop over it reads anew. A batch of entries (some 32 KiB of names) is one hand-over to a worker, and the next
    /// one is read while the caller looks at the last; so no more than two are in memory, whatever the directory's size,
    /// unless `.sorted`. What is added or taken away meanwhile may be seen or not; nothing else is seen twice or passed
    /// over. The descriptor is closed at the end, after an error, and when the iterator goes.
    ///
    /// Throws `notDirectory`, `cancelled`, and what the system calls say: openat2(2), getdents64(2), statx(2).
    public static func entries(
        of path: Path, options: DirectoryOptions = [], runtime: IORuntime = .shared, deadline: Deadline = .never
    ) -> Entries {
        Entries(path: path, options: options, runtime: runtime, deadline: deadline)
    }
}

/// The entries of a directory: what `FileSystem.entries` returns.
public struct Entries: AsyncSequence, Sendable {
    public typealias Element = DirectoryEntry
    public typealias Failure = IOError

    let path: Path
    let options: DirectoryOptions
    let runtime: IORuntime
    let deadline: Deadline

    public func makeAsyncIterator() -> EntryIterator { EntryIterator(self) }
}

/// It is used by one task at a time.
public final class EntryIterator: AsyncIteratorProtocol {
    public typealias Element = DirectoryEntry
    public typealias Failure = IOError

    private let source: Entries
    private var batch: [DirectoryEntry] = []
    private var index = 0
    private var ahead: DirectoryAhead?
    private var isFinished = false

    init(_ source: Entries) { self.source = source }

    /// A batch on its way ends by itself, and closes the directory.
    deinit { ahead?.cancel() }

    public func next() async throws(IOError) -> DirectoryEntry? { try await nextEntry() }

    public func next(isolation actor: isolated (any Actor)?) async throws(IOError) -> DirectoryEntry? {
        try await nextEntry()
    }

    private func nextEntry() async throws(IOError) -> DirectoryEntry? {
        // What was read ahead is there without waiting.
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

    /// Takes the next batch, and has the one after it read.
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
            throw IOError(.invalidArgument, "open", path: source.path, advice: "the path holds a NUL byte")
        }
        let reading = DirectoryReading(
            source.path, TreeDirectory(root: source.path, CK_O_RDONLY), source.options, runtime: source.runtime,
            source.deadline)
        return DirectoryAhead(reading, source.runtime)
    }
}
