import AIO

/// Hashes files concurrently and delivers the results in the order in which the files were added.
final class HashQueue {
    typealias Group = ThrowingTaskGroup<(Int, [FileHash]), any Error>

    private let deliver: (Path, FileHash) throws -> Void
    private var batch: [HashedFile] = []
    private var batchSize: Int64 = 0
    /// The number of jobs begun and of jobs delivered.
    private var begun = 0
    private var delivered = 0
    /// The paths and results of the jobs that have begun and are not delivered yet.
    private var paths: [Int: [Path]] = [:]
    private var results: [Int: [FileHash]] = [:]

    private static var width: Int { 8 }

    init(_ deliver: @escaping (Path, FileHash) throws -> Void) { self.deliver = deliver }

    /// Adds a file. With `size` nil, it becomes a job of its own.
    func add(_ file: HashedFile, size: Int64?, _ group: inout Group) async throws {
        guard let size, size < HashJob.largeSize else {
            try await flush(&group)
            return try await begin(.file(file), &group)
        }
        batch.append(file)
        batchSize += size
        if batch.count >= HashJob.batchCountMax || batchSize >= HashJob.batchSizeMax { try await flush(&group) }
    }

    /// Waits for all jobs and delivers their results.
    func finish(_ group: inout Group) async throws {
        try await flush(&group)
        while delivered < begun { try await takeOne(&group) }
    }

    private func flush(_ group: inout Group) async throws {
        guard !batch.isEmpty else { return }
        let files = batch
        (batch, batchSize) = ([], 0)
        try await begin(.batch(files), &group)
    }

    private func begin(_ job: HashJob, _ group: inout Group) async throws {
        // A finished job that waits for earlier ones counts as well: otherwise memory would not be bounded.
        while begun - delivered >= Self.width { try await takeOne(&group) }
        try Task.checkCancellation()
        let number = begun
        paths[number] = job.files.map(\.path)
        begun += 1
        group.addTask { (number, await job.run()) }
    }

    private func takeOne(_ group: inout Group) async throws {
        guard let (number, hashes) = try await group.next() else { return }
        results[number] = hashes
        while let ready = results.removeValue(forKey: delivered) {
            for (path, hash) in zip(paths.removeValue(forKey: delivered) ?? [], ready) { try deliver(path, hash) }
            delivered += 1
        }
    }
}
