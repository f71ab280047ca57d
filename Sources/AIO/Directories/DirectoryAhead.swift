/// A batch of a directory's entries that is being read, in a task of its own.
final class DirectoryAhead: Sendable {
    let reading: DirectoryReading
    private let task: Task<Result<[DirectoryEntry], IOError>, Never>

    init(_ reading: DirectoryReading, _ runtime: IORuntime) {
        self.reading = reading
        // On the loop, which saves a thread switch on the way to the worker and another on the way back.
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

    /// Waits until the batch is no longer in flight.
    func settle() async { _ = await task.value }

    /// Cancels the batch. A directory that it has opened, or opens later, is not kept open.
    func cancel() {
        task.cancel()
        reading.directory.end()
    }

    /// Cancels the batch, waits for it, and closes the directory.
    func end() async {
        task.cancel()
        _ = await task.value
        reading.end()
    }
}
