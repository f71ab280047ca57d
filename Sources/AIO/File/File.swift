public import AIOCore
internal import CKernel
internal import Synchronization

/// An open file.
///
/// It may be used by any number of tasks at once. `close` waits for the operations that are in flight on it; a file
/// that is dropped unclosed is closed in the background and reported in the log. `withFile` closes for you.
///
/// Operations run where the caller stands as long as that cannot block: a read that the page cache can serve costs
/// little more than a pread(2). Everything else goes to a loop of the runtime.
public final class File: Sendable {
    public let runtime: IORuntime
    /// Where it was opened; nil for an adopted descriptor.
    public let path: Path?
    /// What operations on an `IOQueue` want. Borrowed: not to be closed, and not to be used once the file is closed.
    public let descriptor: Descriptor
    let lease = FileLease()
    let guess = CacheGuess()
    /// The errno of the first sync that failed: the kernel may have marked lost pages clean, so that a later sync
    /// succeeds and proves nothing.
    let syncFailure = Atomic<Int32>(0)
    let sharedSync = SharedSync()

    init(_ descriptor: Descriptor, path: Path?, runtime: IORuntime) {
        self.descriptor = descriptor
        self.path = path
        self.runtime = runtime
    }

    /// Takes over an open descriptor: a pipe, a socket, a file opened elsewhere. The file now closes it.
    public convenience init(adopting number: Int32, path: Path? = nil, runtime: IORuntime = .shared) {
        self.init(.classify(number), path: path, runtime: runtime)
    }

    deinit {
        guard !lease.isClosed else { return }
        runtime.configuration.log("file \(path.map { "\($0)" } ?? "\(descriptor.number)") was dropped without close()")
        runtime.closeUnobserved(descriptor.number)
    }

    // MARK: Opening

    public enum Access: Sendable {
        case read, write, readWrite
    }

    /// openat2(2)'s flags. Descriptors are always close-on-exec.
    public struct OpenOptions: OptionSet, Sendable {
        public let rawValue: UInt64
        public init(rawValue: UInt64) { self.rawValue = rawValue }

        /// Makes the file if it is not there.
        public static let create = OpenOptions(rawValue: CK_O_CREAT)
        /// With `create`: fails with `alreadyExists` if it is.
        public static let exclusive = OpenOptions(rawValue: CK_O_EXCL)
        public static let truncate = OpenOptions(rawValue: CK_O_TRUNC)
        /// Every write goes to the end, whatever its offset.
        public static let append = OpenOptions(rawValue: CK_O_APPEND)
        /// Past the page cache. Buffers, offsets and counts must be aligned as the file system asks (`aio probe`).
        public static let direct = OpenOptions(rawValue: CK_O_DIRECT)
        /// Every write is durable when it completes: data, and what is needed to read it.
        public static let dataSync = OpenOptions(rawValue: CK_O_DSYNC)
        /// Every write is durable when it completes, with all metadata.
        public static let sync = OpenOptions(rawValue: CK_O_SYNC)
        /// Fails with ELOOP if the last part of the path is a symbolic link.
        public static let noFollow = OpenOptions(rawValue: CK_O_NOFOLLOW)
        /// Fails with `notDirectory` if it is none.
        public static let directory = OpenOptions(rawValue: CK_O_DIRECTORY)
        /// Does not wait for the other end of a FIFO.
        public static let nonBlocking = OpenOptions(rawValue: CK_O_NONBLOCK)
    }

    // MARK: Closing

    /// Waits for the operations in flight on this file, then closes it. New ones fail with `fileClosed`, and so does a
    /// second close. Is not cancelled. An error (`inputOutput`, `noSpace`) tells of writes that the file system had
    /// put off; the descriptor is gone all the same. The kernel call is close(2).
    public func close() async throws(IOError) {
        try runtime.check("close")
        guard lease.close() else { throw IOError(.fileClosed, "close", path: path) }
        await lease.waitForUsers()
        try await runtime.close(descriptor.number, path)
    }

    // MARK: For the operations

    /// Begins an operation on this file; `lease.end()` ends it.
    @inline(__always)
    func begin(_ name: @autoclosure () -> String) throws(IOError) {
        try runtime.check(name())
        guard lease.begin() else { throw IOError(.fileClosed, name(), path: path) }
    }

    /// The same for what a task may give up: throws `cancelled` and `deadlineExceeded` rather than begin.
    @inline(__always)
    func begin(_ name: @autoclosure () -> String, _ deadline: Deadline) throws(IOError) {
        try begin(name())
        do throws(IOError) { try IOLoop.checkBeginning(deadline.nanoseconds, name()) } catch {
            lease.end()
            var error = error
            error.path = path
            throw error
        }
    }

    /// An operation other than a read or a write.
    func perform(
        _ operation: Operation, _ deadline: Deadline, _ name: String
    ) async throws(IOError) -> Int32 {
        try begin(name, deadline)
        defer { lease.end() }
        return try await runtime.perform(operation, deadline.nanoseconds, name, path).result
    }
}

/// Opens a file, runs `body`, and closes the file whatever happens.
///
/// Throws what `body` throws; if that succeeded, what `close` throws.
public func withFile<R>(
    _ path: Path, _ access: File.Access = .read, options: File.OpenOptions = [], permissions: UInt16 = 0o644,
    runtime: IORuntime = .shared, _ body: (File) async throws -> R
) async throws -> R {
    let file = try await File.open(path, access, options: options, permissions: permissions, runtime: runtime)
    let result: R
    do {
        result = try await body(file)
    } catch {
        // The first error is the one that tells what happened.
        try? await file.close()
        throw error
    }
    try await file.close()
    return result
}
