/// A batch of a directory's entries on its way, in a task of its own.
final class DirectoryAhead: Sendable {
    let reading: DirectoryReading
    private let task: Task<Result<[DirectoryEntry], IOError>, Never>

    init(_ reading: DirectoryReading, _ runtime: IORuntime) {
        self.reading = reading
        // On the loop, so that the hand-over to the worker and back changes threads once less each.
        task = Task(executorPreference: runtime.loops.first) {
            do throws(IOError) { return .success(try await reading.nextBatch()) } catch { return .failure(error) }
        }
    }

    func take() async throws(IOError) -> [DirectoryEntry] {
        let task = task
        let result = await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            task.cancel()
        }
        return try result.get()
    }

    /// Waits until nothing of it is on its way.
    func settle() async { _ = await task.value }

    /// What it has opened by then, or opens yet, is not kept.
    func cancel() {
        task.cancel()
        reading.directory.end()
    }

    /// Waits until it has ended, and closes the directory.
    func end() async {
        task.cancel()
        _ = await task.value
        reading.end()
    }
}
