public import AIOCore

extension File {
    /// Makes what was written to the file durable: every write that completed before this was called. `.data`: the
    /// data and what is needed to read it back, fdatasync(2). `.full`: all metadata too, fsync(2).
    ///
    /// Calls that come while a sync of this `File` runs share the next one, at the highest level that one of them asks
    /// for. Who is cancelled or reaches his deadline while he waits for that one leaves the others alone, and returns at
    /// once; a sync that is one caller's own is asked to end and waited for, like any operation.
    ///
    /// Once a sync failed for want of space or by an error of the device, data may be lost, and every later one of this
    /// `File` throws `syncFailedBefore`: the kernel reports such an error once, and then success. Otherwise
    /// throws `cancelled`, `deadlineExceeded`, `fileClosed`, or what fsync(2) says.
    public func sync(
        _ level: SyncLevel = .full, deadline: Deadline = .never
    ) async throws(IOError) {
        try checkSyncFailure(level)
        try begin(level.callName, deadline)
        defer { lease.end() }
        let loop = try runtime.loop(for: .sync(descriptor, level), level.callName)
        switch await sharedSync.enter(level, deadline.nanoseconds, loop) {
        case .turn:
            defer { if let next = sharedSync.endRound(nil) { carrySyncs(next, loop) } }
            try await syncNow(level, deadline)
        case .ended(let error):
            if let error { throw error }
        case .failed(let code):
            throw IOError(code, level.callName, path: path)
        }
    }

    /// Callers that wait for a sync that others share: for tests.
    package var syncWaiterCount: Int { sharedSync.waiterCount }
    /// Whether somebody has the turn to sync: for tests.
    package var isSyncing: Bool { sharedSync.isRunning }

    /// Carries out the rounds that others wait for, until nobody does. In a task of its own, which no caller's
    /// cancellation reaches, and on the loop, which saves two changes of thread a round.
    private func carrySyncs(_ first: SyncLevel, _ loop: IOLoop) {
        // A close waits for the rounds, also when all who waited for them have left.
        lease.extend()
        Task(executorPreference: loop) { [self] in
            defer { lease.end() }
            var next: SyncLevel? = first
            while let level = next {
                var failure: IOError?
                do throws(IOError) { try await syncNow(level, .never) } catch { failure = error }
                next = sharedSync.endRound(failure)
            }
        }
    }

    private func syncNow(_ level: SyncLevel, _ deadline: Deadline) async throws(IOError) {
        // The sync before may have failed while this one waited.
        try checkSyncFailure(level)
        do throws(IOError) {
            _ = try await runtime.perform(.sync(descriptor, level), deadline.nanoseconds, level.callName, path)
        } catch {
            if let errno = error.errno, error.code == .inputOutput || error.code == .noSpace {
                // Released: whoever sees it sees that the sync is over.
                syncFailure.store(errno.rawValue, ordering: .releasing)
            }
            throw error
        }
    }

    private func checkSyncFailure(_ level: SyncLevel) throws(IOError) {
        let before = syncFailure.load(ordering: .acquiring)
        guard before != 0 else { return }
        let advice = "that was \(Errno(rawValue: before))"
        throw IOError(.syncFailedBefore, level.callName, path: path, advice: advice)
    }
}

extension SyncLevel {
    fileprivate var callName: String { self == .full ? "fsync" : "fdatasync" }
}
