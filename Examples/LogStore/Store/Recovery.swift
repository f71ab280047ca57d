internal import AIO

/// What a store does when it is opened: it finds the state that its files contain, and removes what a crash left over.
struct Recovery {
    struct Result {
        let directory: File
        let log: File
        let end: Int64
        let current: Checkpoint
    }

    private let path: Path
    private let shortcuts: Shortcuts

    init(_ path: Path, _ shortcuts: Shortcuts) {
        self.path = path
        self.shortcuts = shortcuts
    }

    func run() async throws -> Result {
        try await makeDirectory()
        let directory = try await File.open(path, options: .directory)
        do {
            var current = try await readCheckpoint(in: directory)
            try await removeOtherLogs(than: current.generation, in: directory)
            let log = try await openLog(current.generation, in: directory)
            let end = try await replay(log, onto: &current)
            return Result(directory: directory, log: log, end: end, current: current)
        } catch {
            try? await directory.close()
            throw error
        }
    }

    /// The directory's own name has to be durable as well.
    private func makeDirectory() async throws {
        do throws(IOError) { try await FileSystem.makeDirectory(path) } catch {
            guard error.isAlreadyExists else { throw error }
        }
        let parent = try await File.open(path.parent ?? ".", options: .directory)
        try await parent.sync()
        try await parent.close()
    }

    private func readCheckpoint(in directory: File) async throws -> Checkpoint {
        do throws(IOError) {
            let bytes = try await FileSystem.readFile("checkpoint", in: directory)
            guard let checkpoint = Checkpoint(bytes) else {
                let advice = "the checkpoint is damaged; restore the directory from a backup"
                throw IOError(.invalidArgument, "open", path: path, advice: advice)
            }
            return checkpoint
        } catch {
            guard error.isNotFound else { throw error }
            return Checkpoint(generation: 0, sequence: 0, state: [:])
        }
    }

    /// Removes logs that a crash between two steps of a checkpoint left, and temporary files of `replaceFile`.
    private func removeOtherLogs(than generation: UInt64, in directory: File) async throws {
        let kept: Set<Path> = ["checkpoint", LogFile.name(generation)]
        var leftover: [Path] = []
        for try await entry in FileSystem.entries(of: path) where !kept.contains(entry.name) {
            leftover.append(entry.name)
        }
        for name in leftover { try await FileSystem.unlink(name, in: directory) }
    }

    private func openLog(_ generation: UInt64, in directory: File) async throws -> File {
        do throws(IOError) {
            return try await File.open(LogFile.name(generation), in: directory, .readWrite)
        } catch {
            // A checkpoint refers to a log that is there. Without a checkpoint, this is a new store.
            guard error.isNotFound, generation == 0 else { throw error }
        }
        return try await LogFile.create(generation, in: directory)
    }

    /// Applies the log's entries, and cuts off what follows the last whole one: it was never acknowledged.
    private func replay(_ log: File, onto current: inout Checkpoint) async throws -> Int64 {
        let size = try await log.status().size
        let bytes = try await log.readExactly(count: Int(size), at: 0)
        var end = 0
        while let (record, next) = Record.decode(
            bytes, at: end, checksChecksum: !shortcuts.contains(.noChecksum)),
            record.sequence == current.sequence + 1 || shortcuts.contains(.noChecksum)
        {
            current.state[record.key] = record.value
            current.sequence = record.sequence
            end = next
        }
        if end < bytes.count { try await log.truncate(to: Int64(end)) }
        // After a crash of the program alone, the entries may be in the page cache only: what a reader sees from here
        // on must not be gone after the next crash.
        try await log.sync()
        return Int64(end)
    }
}
