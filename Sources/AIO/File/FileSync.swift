public import AIOCore

extension File {
    /// Makes every write durable that completed before the call. `SyncLevel.data` flushes the data and the metadata
    /// needed to read it back, fdatasync(2); `SyncLevel.full` flushes all metadata, fsync(2).
    ///
    /// Concurrent syncs of one `File` are merged: calls that arrive while a sync runs share the next one, which runs at
    /// the highest level requested. A caller that is cancelled or reaches its deadline while it waits for the shared
    /// sync returns at once and does not affect the others. A sync that a caller carries out for itself is cancelled
    /// like any operation, and the call waits for its completion.
    ///
    /// After a sync has failed for lack of space or by a device error, data may be lost. The kernel reports such an
    /// error once, and success afterwards; therefore every later sync of this `File` throws
    /// ``IOError/Code/syncFailedBefore``.
    ///
    /// - Throws: ``IOError/Code/syncFailedBefore``, ``IOError/Code/inputOutput``, ``IOError/Code/noSpace``,
    ///   ``IOError/Code/invalidArgument`` for what cannot be synced (pipes, sockets), ``IOError/Code/cancelled``,
    ///   ``IOError/Code/deadlineExceeded``, or ``IOError/Code/fileClosed``.
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

    /// The number of callers that wait for a shared sync. For tests.
    package var syncWaiterCount: Int { sharedSync.waiterCount }
    /// Whether a sync is running. For tests.
    package var isSyncing: Bool { sharedSync.isRunning }

    /// Carries out shared rounds until no caller waits. It runs in a task of its own, so that no caller's cancellation
    /// reaches it, and on the loop, which saves two thread switches a round.
    private func carrySyncs(_ first: SyncLevel, _ loop: IOLoop) {
        // A close waits for the rounds even if every caller has left.
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
        // An earlier sync may have failed while this one waited.
        try checkSyncFailure(level)
        do throws(IOError) {
            _ = try await runtime.perform(.sync(descriptor, level), deadline.nanoseconds, level.callName, path)
        } catch {
            if let errno = error.errno, error.code == .inputOutput || error.code == .noSpace {
                // Releasing: a thread that loads the errno also sees that the sync is over.
                syncFailure.store(errno.rawValue, ordering: .releasing)
            }
            throw error
        }
    }

    private func checkSyncFailure(_ level: SyncLevel) throws(IOError) {
        let before = syncFailure.load(ordering: .acquiring)
        guard before != 0 else { return }
        let advice = "the earlier error was \(Errno(rawValue: before))"
        throw IOError(.syncFailedBefore, level.callName, path: path, advice: advice)
    }
}

extension SyncLevel {
    fileprivate var callName: String { self == .full ? "fsync" : "fdatasync" }
}
