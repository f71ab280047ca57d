internal import AIOCore

extension IORuntime {
    /// Has a worker carry out several system calls in one go.
    func perform(
        _ work: BlockingWork, _ name: String, _ path: Path, _ deadline: Deadline
    ) async throws(IOError) -> Int32 {
        let result = await withTaskCancellationHandler { () async -> Result<Int32, IOError> in
            do throws(IOError) {
                let operation = Operation.work(.passUnretained(work))
                return .success(try await perform(operation, deadline.nanoseconds, name, path).result)
            } catch {
                return .failure(error)
            }
        } onCancel: {
            // A worker that has begun is told so; what waits for one, the queue ends.
            work.requestEnd()
        }
        work.takeBack()
        switch result {
        case .success(let value):
            return value
        case .failure(var error):
            if error.code == .cancelled, work.isDeadlinePassed { error.code = .deadlineExceeded }
            throw error
        }
    }
}
