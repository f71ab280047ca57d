internal import AIO

/// The files of a store: `checkpoint`, and the log that continues it.
enum StoreFiles {
    static let checkpoint: Path = "checkpoint"

    static func log(_ generation: UInt64) -> Path { Path("log.\(generation)") }

    /// Begins the generation of a checkpoint: an empty log, then the checkpoint that refers to it. Both are durable
    /// with their names when this returns. Returns the log.
    static func begin(_ checkpoint: Checkpoint, in directory: File, _ shortcuts: Shortcuts) async throws -> File {
        let log = try await File.open(
            self.log(checkpoint.generation), in: directory, .readWrite, options: [.create, .truncate])
        do {
            try await log.sync()
            try await directory.sync()
            try await FileSystem.replaceFile(
                self.checkpoint, in: directory, checkpoint.encoded,
                durability: shortcuts.contains(.noDirectorySync) ? .data : .full)
        } catch {
            try? await log.close()
            throw error
        }
        return log
    }
}
