internal import AIOCore
internal import CKernel

/// Locks of open files (open file description locks): advisory, and given up when the file is closed.
///
/// They belong to the `File`, not to the process or the task: two files opened on their own exclude each other even in
/// one process, and one `File` never excludes itself. A range locked again takes the new kind.
extension File {
    public enum LockKind: Sendable {
        /// Others may lock the same bytes as shared too. Wants a file open for reading.
        case shared
        /// Nobody else may lock any of the bytes. Wants a file open for writing.
        case exclusive
    }

    /// Waits until a lock on `range` (bytes; nil for the whole file, however it grows) can be had, and takes it.
    ///
    /// No thread waits: the lock is asked for again after a pause, from 1 ms up to 50 ms, so that those who wait are
    /// served in no particular order. Throws `cancelled` or `deadlineExceeded` without the lock. The kernel call is
    /// fcntl(2) with F_OFD_SETLK.
    public func lock(
        _ kind: LockKind = .exclusive, range: Range<Int64>? = nil, deadline: Deadline = .never
    ) async throws(IOError) {
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

    /// Takes a lock if nobody has one that conflicts. False if somebody has. As `lock`.
    public func tryLock(
        _ kind: LockKind = .exclusive, range: Range<Int64>? = nil, deadline: Deadline = .never
    ) async throws(IOError) -> Bool {
        do throws(IOError) {
            try await setLock(kind == .shared ? CK_F_RDLCK : CK_F_WRLCK, range, deadline)
            return true
        } catch {
            // Which of the two it is, POSIX leaves open.
            guard error.errno == Errno(rawValue: EAGAIN) || error.errno == Errno(rawValue: EACCES) else { throw error }
            return false
        }
    }

    /// Gives up the lock on `range`, which may be a part of what was locked; nil for all. Does nothing where there is
    /// none. fcntl(2) with F_OFD_SETLK.
    public func unlock(range: Range<Int64>? = nil, deadline: Deadline = .never) async throws(IOError) {
        try await setLock(CK_F_UNLCK, range, deadline)
    }

    private func sleep(until deadline: Deadline) async throws(IOError) {
        _ = try await runtime.perform(.timeout(deadline: deadline.nanoseconds), .never, "lock", path)
    }

    private func setLock(_ type: Int16, _ range: Range<Int64>?, _ deadline: Deadline) async throws(IOError) {
        guard range.map({ $0.lowerBound >= 0 && !$0.isEmpty }) ?? true else {
            throw IOError(.invalidArgument, "lock", path: path, advice: "the range is empty or begins before 0")
        }
        let lock = UnsafeMutablePointer<ck_flock>.allocate(capacity: 1)
        defer { lock.deallocate() }
        // A length of 0 goes to the end, however far that moves.
        lock.initialize(
            to: ck_flock(
                type: type, whence: Int16(CK_SEEK_SET), start: range?.lowerBound ?? 0,
                length: range.map { $0.upperBound - $0.lowerBound } ?? 0, process: 0))
        _ = try await perform(.call(.setLock(descriptor.number, lock)), deadline, "lock")
    }
}
