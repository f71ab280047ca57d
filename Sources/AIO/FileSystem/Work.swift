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

    /// Has a worker give something up (`BlockingWork.isRelease`), whatever becomes of the task and of the runtime meanwhile.
    /// With the loops gone, it is this thread that does it. Returns what the work does, and why no loop did it.
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
