internal import AIO

/// What a store does when it is opened: it finds the state that its files contain, and removes what a crash left over.
struct Recovery {
    struct Result {
        let directory: File
        let log: File
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
            try await replay(onto: &current, in: directory)
            // What was read may be in the page cache alone, marked clean although it never reached the disk: a sync
            // failed before, and the next one would succeed. Written anew, it is durable.
            current.generation += 1
            let log = try await StoreFiles.begin(current, in: directory, shortcuts)
            try await removeLeftovers(of: current.generation, in: directory)
            return Result(directory: directory, log: log, current: current)
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
        // Empty for a single name.
        let name = path.parent ?? ""
        let parent = try await File.open(name == "" ? "." : name, options: .directory)
        do { try await parent.sync() } catch {
            try? await parent.close()
            throw error
        }
        try await parent.close()
    }

    private func readCheckpoint(in directory: File) async throws -> Checkpoint {
        do throws(IOError) {
            let bytes = try await FileSystem.readFile(StoreFiles.checkpoint, in: directory)
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

    /// Applies the log's entries, up to the last whole one: what follows was never acknowledged. Without a checkpoint
    /// the store is new, and there may be no log.
    private func replay(onto current: inout Checkpoint, in directory: File) async throws {
        let bytes: [UInt8]
        do throws(IOError) {
            bytes = try await FileSystem.readFile(StoreFiles.log(current.generation), in: directory)
        } catch {
            guard error.isNotFound, current.generation == 0 else { throw error }
            return
        }
        let checks = !shortcuts.contains(.noChecksum)
        var end = 0
        while let (record, next) = Record.decode(bytes, at: end, checksChecksum: checks),
            !checks || record.sequence == current.sequence + 1
        {
            current.state[record.key] = record.value
            current.sequence = record.sequence
            end = next
        }
    }

    /// Removes logs that a crash between two steps of a checkpoint left, and temporary files of `replaceFile`.
    private func removeLeftovers(of generation: UInt64, in directory: File) async throws {
        let kept: Set<Path> = [StoreFiles.checkpoint, StoreFiles.log(generation)]
        var leftover: [Path] = []
        for try await entry in FileSystem.entries(of: path) where !kept.contains(entry.name) {
            leftover.append(entry.name)
        }
        for name in leftover { try await FileSystem.unlink(name, in: directory) }
    }
}
