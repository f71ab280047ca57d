internal import AIOCore
internal import CKernel

extension IORuntime {
    /// Makes an attempt with a path on the calling thread: what the kernel has of it in its caches needs no loop. nil
    /// if the operation has to go to a loop, or if no loop runs any more.
    @inline(__always)
    func attempted<Value>(
        _ name: String, _ path: Path, _ deadline: Deadline, _ attempt: () -> CachedLookup.Answer<Value>
    ) throws(IOError) -> Value? {
        guard try mayAttempt(name, path, deadline) else { return nil }
        switch attempt() {
        case .found(let value):
            pathGuess.noteHit()
            return value
        case .failed(let result):
            pathGuess.noteHit()
            throw IOError(result: Int32(truncatingIfNeeded: result), name, path: path)
        case .wait:
            pathGuess.noteMiss()
            return nil
        case .undecided: return nil
        }
    }

    private func mayAttempt(_ name: String, _ path: Path, _ deadline: Deadline) throws(IOError) -> Bool {
        try check(name)
        guard configuration.inlineAttempts, loops.first?.core.isRunning == true, pathGuess.isWorthAsking() else {
            return false
        }
        // A task that is always served without suspending would starve the other tasks of its executor: such as those
        // that write what it looks for again and again.
        if pathGuess.isTurnUsedUp() { return false }
        do throws(IOError) { try IOLoop.checkBeginning(deadline.nanoseconds, name) } catch {
            var error = error
            error.path = path
            throw error
        }
        return true
    }

    /// Whether close(2) of the file need not wait. It was opened for reading alone, on a file system that asks no
    /// server, so there is nothing to write. If the file has a name still, its blocks are not freed either.
    func mayCloseHere(_ number: Int32) -> Bool {
        guard configuration.inlineAttempts, loops.first?.core.isRunning == true else { return false }
        var status = ck_statx()
        var empty: CChar = 0
        let flags = CK_AT_EMPTY_PATH | CK_AT_STATX_DONT_SYNC
        return Kernel.statx(number, &empty, flags, CK_STATX_NLINK, &status) >= 0 && status.link_count > 0
    }
}
