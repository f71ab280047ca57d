internal import AIOCore

extension IORuntime {
    /// Carries out work of several system calls on one worker.
    func perform(
        _ work: BlockingWork, _ name: String, _ path: Path, _ deadline: Deadline
    ) async throws(IOError) -> Int32 {
        defer { work.takeBack() }
        do throws(IOError) {
            return try await perform(.work(.passUnretained(work)), deadline.nanoseconds, name, path).result
        } catch {
            var error = error
            // The work checks the clock itself, and may see the deadline pass before the queue does.
            if error.code == .cancelled, work.isDeadlinePassed { error.code = .deadlineExceeded }
            throw error
        }
    }

    /// Carries out a release (`BlockingWork.isRelease`) on a worker, regardless of cancellation and shutdown. If the
    /// loops have ended, the calling thread carries it out. Returns the result, and the reason why no loop carried it
    /// out.
    @discardableResult
    func performToTheEnd(
        _ work: BlockingWork, _ name: String
    ) async -> (result: Int32, refusal: IOError?) {
        let operation = Operation.work(.passUnretained(work))
        do throws(IOError) {
            let completion = try await loop(for: operation, name).performToTheEnd(operation, name)
            work.takeBack()
            return (completion.result, nil)
        } catch {
            return (Int32(truncatingIfNeeded: work.carryOutHere()), error)
        }
    }
}
