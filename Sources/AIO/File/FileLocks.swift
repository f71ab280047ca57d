internal import AIOCore
internal import CKernel

/// Open file description locks (fcntl(2), F_OFD_SETLK). They are advisory, and closing the file releases them.
///
/// A lock belongs to the `File`, not to the process or the task. Two files opened separately exclude each other even
/// within one process; one `File` never excludes itself. Locking a locked range again converts it to the new kind.
extension File {
    /// The kind of a lock: F_RDLCK or F_WRLCK of fcntl(2).
    public enum LockKind: Sendable {
        /// Others may hold shared locks on the same bytes. The file must be open for reading.
        case shared
        /// Nobody else may hold a lock on any of the bytes. The file must be open for writing.
        case exclusive
    }

    /// Waits for a lock on a range of bytes and acquires it. By default it is the whole file; a range whose end is
    /// `Int64.max` includes bytes that are added later.
    ///
    /// The wait polls: it tries again after a pause that grows from 1 ms to 50 ms. No thread blocks, and waiters are
    /// not served in order. After ``IOError/Code/cancelled`` or ``IOError/Code/deadlineExceeded`` the lock is not held.
    /// Kernel call: fcntl(2) with F_OFD_SETLK.
    ///
    /// - Throws: ``IOError/Code/badDescriptor`` if the file is not open for reading (a shared lock) or writing (an
    ///   exclusive one); ``IOError/Code/invalidArgument`` if the range is empty or begins before 0; `ENOLCK`
    ///   (``IOError/errno``); ``IOError/Code/cancelled``; ``IOError/Code/deadlineExceeded``.
    public func lock(
        _ kind: LockKind = .exclusive, range: Range<Int64> = 0..<Int64.max, deadline: Deadline = .never
    ) async throws(IOError) {
        // fcntl(2) tells nobody when a lock becomes free, and its waiting form would hold a worker for as long. The
        // first pause is short beside the time for which a lock is usually held; the last limits what waiters cost.
        var pause = Duration.milliseconds(1)
        while true {
            if try await tryLock(kind, range: range, deadline: deadline) { return }
            let wakeUp = Deadline.after(pause)
            guard wakeUp < deadline else {
                try await sleep(until: deadline)
                throw IOError(.deadlineExceeded, "lock", path: path)
            }
            try await sleep(until: wakeUp)
            pause = min(pause * 2, .milliseconds(50))
        }
    }

    /// Acquires a lock on a range of bytes, by default the whole file, and returns true; returns false if somebody else
    /// holds a lock that conflicts. Does not wait for the lock. Kernel call: fcntl(2) with F_OFD_SETLK.
    ///
    /// - Throws: the errors of ``lock(_:range:deadline:)``.
    public func tryLock(
        _ kind: LockKind = .exclusive, range: Range<Int64> = 0..<Int64.max, deadline: Deadline = .never
    ) async throws(IOError) -> Bool {
        do throws(IOError) {
            try await setLock(kind == .shared ? CK_F_RDLCK : CK_F_WRLCK, range, deadline)
            return true
        } catch {
            // POSIX permits either errno for a conflict.
            guard error.errno == Errno(rawValue: EAGAIN) || error.errno == Errno(rawValue: EACCES) else { throw error }
            return false
        }
    }

    /// Releases the lock on a range of bytes, which may be part of a locked range; by default everything. Does nothing
    /// if the range is not locked. Kernel call: fcntl(2) with F_OFD_SETLK.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the range is empty or begins before 0.
    public func unlock(
        range: Range<Int64> = 0..<Int64.max, deadline: Deadline = .never
    ) async throws(IOError) {
        try await setLock(CK_F_UNLCK, range, deadline)
    }

    private func sleep(until deadline: Deadline) async throws(IOError) {
        _ = try await runtime.perform(.timeout(deadline: deadline.nanoseconds), .never, "lock", path)
    }

    private func setLock(_ type: Int16, _ range: Range<Int64>, _ deadline: Deadline) async throws(IOError) {
        let count = try countToEnd(range, "lock")
        let lock = UnsafeMutablePointer<ck_flock>.allocate(capacity: 1)
        defer { lock.deallocate() }
        lock.initialize(
            to: ck_flock(
                type: type, whence: Int16(CK_SEEK_SET), start: range.lowerBound, length: count, process: 0))
        _ = try await perform(.call(.setLock(descriptor.number, lock)), deadline, "lock")
    }
}
