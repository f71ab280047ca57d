internal import AIOCore

extension IORuntime {
    /// Has a worker carry out several system calls in one go.
    func perform(
        _ work: BlockingWork, _ name: String, _ path: Path, _ deadline: Deadline
    ) async throws(IOError) -> Int32 {
        defer { work.takeBack() }
        do throws(IOError) {
            return try await perform(.work(.passUnretained(work)), deadline.nanoseconds, name, path).result
        } catch {
            var error = error
            // It looks at the clock by itself, and may have seen the deadline pass before the queue did.
            if error.code == .cancelled, work.isDeadlinePassed { error.code = .deadlineExceeded }
            throw error
        }
    }
}
