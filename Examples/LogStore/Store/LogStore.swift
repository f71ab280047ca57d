public import AIO

/// Keys and values in a directory, which survive a crash of the program and of the machine.
///
/// Every change is an entry that is appended to a log. `put` returns once its entry is durable: one write and one sync
/// serve all entries that arrive while the previous ones are being synced (group commit). A checkpoint writes the whole
/// state to a file of its own, by `replaceFile`, and begins a new log. Opening a store reads the checkpoint and the log
/// that continues it, up to the first entry that is not whole, and begins with a checkpoint.
///
/// After an error of the disk the store refuses everything: what is durable is then unknown until it is opened again.
public actor LogStore {
    private let directory: File
    private let shortcuts: Shortcuts
    private var log: File
    /// The size of the log in bytes: the end of its last durable entry.
    private var end: Int64
    /// What the checkpoint would contain now.
    private var current: Checkpoint
    private var pending: [Entry] = []
    private var pendingCheckpoints: [CheckedContinuation<(any Error)?, Never>] = []
    private var isCommitting = false
    private var failure: (any Error)?

    private struct Entry {
        let key: String
        let value: [UInt8]
        let continuation: CheckedContinuation<(any Error)?, Never>
    }

    /// Opens the store in a directory, or creates it.
    public static func open(_ path: Path) async throws -> LogStore { try await open(path, []) }

    package static func open(_ path: Path, _ shortcuts: Shortcuts) async throws -> LogStore {
        let recovered = try await Recovery(path, shortcuts).run()
        return LogStore(recovered, shortcuts)
    }

    private init(_ recovered: Recovery.Result, _ shortcuts: Shortcuts) {
        directory = recovered.directory
        log = recovered.log
        end = 0
        current = recovered.current
        self.shortcuts = shortcuts
    }

    public subscript(_ key: String) -> [UInt8]? { current.state[key] }

    /// All keys and values.
    public var state: [String: [UInt8]] { current.state }

    /// Sets a value. Returns when that is durable; after an error it may be or not.
    public func put(_ key: String, _ value: [UInt8]) async throws {
        guard key.utf8.count + value.count <= Record.sizeLimit else {
            throw IOError(.invalidArgument, "put", advice: "key and value are at most \(Record.sizeLimit) bytes")
        }
        try await wait { continuation in
            pending.append(Entry(key: key, value: value, continuation: continuation))
        }
    }

    /// Writes the whole state to the checkpoint, and begins a new log.
    public func checkpoint() async throws {
        try await wait { pendingCheckpoints.append($0) }
    }

    /// Closes the files. Nothing may be in progress.
    public func close() async throws {
        failure = failure ?? IOError(.fileClosed, "put")
        try await log.close()
        try await directory.close()
    }

    private func wait(_ add: (CheckedContinuation<(any Error)?, Never>) -> Void) async throws {
        if let failure { throw failure }
        let error = await withCheckedContinuation { continuation in
            add(continuation)
            beginCommitting()
        }
        if let error { throw error }
    }

    // MARK: Committing

    /// Commits in a task of its own: a caller that is cancelled must not leave half an entry.
    private func beginCommitting() {
        guard !isCommitting else { return }
        isCommitting = true
        Task { await commitAll() }
    }

    private func commitAll() async {
        while true {
            if !pendingCheckpoints.isEmpty {
                await writeCheckpoint()
            } else if !pending.isEmpty {
                await commitGroup()
            } else {
                break
            }
        }
        isCommitting = false
    }

    /// Appends all entries that have arrived, and syncs them.
    private func commitGroup() async {
        let group = pending
        pending = []
        let records = group.enumerated().map { index, entry in
            Record(sequence: current.sequence + UInt64(index) + 1, key: entry.key, value: entry.value)
        }
        if failure == nil {
            do { try await append(records) } catch { failure = error }
        }
        if failure == nil {
            for record in records { current.state[record.key] = record.value }
            current.sequence += UInt64(records.count)
        }
        for entry in group { entry.continuation.resume(returning: failure) }
    }

    private func append(_ records: [Record]) async throws {
        let bytes = records.flatMap(\.encoded)
        if shortcuts.contains(.syncBeforeWrite) {
            async let synced: Void = log.sync(.data)
            try await log.writeAll(bytes, at: end)
            try await synced
        } else {
            try await log.writeAll(bytes, at: end)
            if !shortcuts.contains(.noSync) { try await sync() }
        }
        end += Int64(bytes.count)
    }

    private func sync() async throws {
        do { try await log.sync(.data) } catch {
            guard shortcuts.contains(.failedSyncIgnored) else { throw error }
        }
    }

    // MARK: Checkpoints

    private func writeCheckpoint() async {
        let waiting = pendingCheckpoints
        pendingCheckpoints = []
        if failure == nil {
            do { try await beginGeneration(current.generation + 1) } catch { failure = error }
        }
        for continuation in waiting { continuation.resume(returning: failure) }
    }

    private func beginGeneration(_ generation: UInt64) async throws {
        var checkpoint = current
        checkpoint.generation = generation
        let next = try await StoreFiles.begin(checkpoint, in: directory, shortcuts)
        let (old, oldGeneration) = (log, current.generation)
        (log, end, current) = (next, 0, checkpoint)
        try await old.close()
        try await FileSystem.unlink(StoreFiles.log(oldGeneration), in: directory)
    }
}
