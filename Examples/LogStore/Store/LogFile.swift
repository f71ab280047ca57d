internal import AIO

enum LogFile {
    static func name(_ generation: UInt64) -> Path { Path("log.\(generation)") }

    /// Creates an empty log, durable with its name.
    static func create(_ generation: UInt64, in directory: File) async throws -> File {
        let file = try await File.open(
            name(generation), in: directory, .readWrite, options: [.create, .truncate])
        do {
            try await file.sync()
            try await directory.sync()
        } catch {
            try? await file.close()
            throw error
        }
        return file
    }
}
