public import AIOCore
internal import CKernel
internal import Synchronization

/// An open file.
///
/// Any number of tasks may use a file at once. ``close()`` waits for the operations in flight on it. A file that is
/// dropped without a close is closed in the background and reported in the log.
/// ``withFile(_:_:options:permissions:runtime:_:)`` closes its file.
///
/// An operation runs on the calling thread as long as it cannot block there: a read that the page cache can serve costs
/// little more than a pread(2), and an open for reading whose path the kernel has cached some openat2(2). Everything
/// else goes to a loop of the runtime.
public final class File: Sendable {
    /// The runtime that carries out the file's operations.
    public let runtime: IORuntime
    /// The path that the file was opened with; nil for an adopted descriptor.
    public let path: Path?
    /// For operations on an ``IOQueue``, or through ``IORuntime/perform(_:deadline:)``. Borrowed: do not close it, and
    /// do not use it after the file is closed.
    public let descriptor: Descriptor
    let lease = FileLease()
    let guess = CacheGuess()
    /// The errno of the first sync that failed. The kernel may have marked lost pages clean, so the success of a later
    /// sync proves nothing.
    let syncFailure = Atomic<Int32>(0)
    let sharedSync = SharedSync()
    /// Serializes the operations that move the position of the open file, or read it.
    let position = Guarded<Void>(())

    /// Whether the calling thread may close it: see `IORuntime.mayCloseHere`.
    private let closesHere: Bool

    init(_ descriptor: Descriptor, path: Path?, closesHere: Bool = false, runtime: IORuntime) {
        self.descriptor = descriptor
        self.path = path
        self.closesHere = closesHere
        self.runtime = runtime
    }

    /// Takes ownership of an open descriptor: a pipe, a socket, a file opened elsewhere. ``close()`` closes it.
    public convenience init(adopting number: Int32, path: Path? = nil, runtime: IORuntime = .shared) {
        self.init(.classify(number), path: path, runtime: runtime)
    }

    deinit {
        guard !lease.isClosed else { return }
        runtime.configuration.log("file \(path.map { "\($0)" } ?? "\(descriptor.number)") was dropped without close()")
        runtime.closeUnobserved(descriptor.number)
    }

    // MARK: Opening

    /// The access mode of an open file: O_RDONLY, O_WRONLY, O_RDWR.
    public enum Access: Sendable {
        /// The file is open for reading: O_RDONLY.
        case read
        /// The file is open for writing: O_WRONLY.
        case write
        /// The file is open for both: O_RDWR.
        case readWrite
    }

    /// Flags of openat2(2). Descriptors are always close-on-exec.
    public struct OpenOptions: OptionSet, Sendable {
        public let rawValue: UInt64
        public init(rawValue: UInt64) { self.rawValue = rawValue }

        /// Creates the file if it does not exist.
        public static let create = OpenOptions(rawValue: CK_O_CREAT)
        /// With ``create``: fails with ``IOError/Code/alreadyExists`` if the file exists, also as a symbolic link.
        public static let exclusive = OpenOptions(rawValue: CK_O_EXCL)
        /// Cuts an existing regular file off to 0 bytes. The file must be opened for writing.
        public static let truncate = OpenOptions(rawValue: CK_O_TRUNC)
        /// Every write appends to the end of the file, whatever its offset.
        public static let append = OpenOptions(rawValue: CK_O_APPEND)
        /// Bypasses the page cache. Buffers, offsets and counts must have the alignment that the file system requires
        /// (`aio probe` prints it).
        public static let direct = OpenOptions(rawValue: CK_O_DIRECT)
        /// Every write is durable when it completes: its data, and the metadata needed to read it back (O_DSYNC).
        public static let dataSync = OpenOptions(rawValue: CK_O_DSYNC)
        /// Every write is durable when it completes, with all metadata (O_SYNC).
        public static let sync = OpenOptions(rawValue: CK_O_SYNC)
        /// Fails with `ELOOP` (``IOError/errno``) if the last component of the path is a symbolic link.
        public static let noFollow = OpenOptions(rawValue: CK_O_NOFOLLOW)
        /// Fails with ``IOError/Code/notDirectory`` if the path is not a directory.
        public static let directory = OpenOptions(rawValue: CK_O_DIRECTORY)
        /// Does not wait for a peer to open the other end of a FIFO; without a reader, opening one for writing then
        /// fails with `ENXIO` (``IOError/errno``).
        public static let nonBlocking = OpenOptions(rawValue: CK_O_NONBLOCK)
    }

    // MARK: Closing

    /// Waits for the operations in flight on this file, then closes it.
    ///
    /// Operations that begin later fail with ``IOError/Code/fileClosed``. A close is never cancelled. Kernel call:
    /// close(2).
    ///
    /// - Throws: ``IOError/Code/fileClosed`` if it is closed already; ``IOError/Code/inputOutput`` or
    ///   ``IOError/Code/noSpace`` for a write error that the file system deferred. The descriptor is closed even then.
    public func close() async throws(IOError) {
        try runtime.check("close")
        guard lease.close() else { throw IOError(.fileClosed, "close", path: path) }
        await lease.waitForUsers()
        guard closesHere, runtime.mayCloseHere(descriptor.number) else {
            return try await runtime.close(descriptor.number, path)
        }
        let result = Kernel.close(descriptor.number)
        guard result >= 0 else { throw IOError(result: Int32(truncatingIfNeeded: result), "close", path: path) }
    }

    // MARK: Used by the operations

    /// Begins an operation on this file; `lease.end()` ends it.
    @inline(__always)
    func begin(_ name: @autoclosure () -> String) throws(IOError) {
        try runtime.check(name())
        guard lease.begin() else { throw IOError(.fileClosed, name(), path: path) }
    }

    /// The same for an operation that can be cancelled: throws `cancelled` or `deadlineExceeded` instead of beginning.
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

    /// Carries out an operation other than a read or a write.
    func perform(
        _ operation: Operation, _ deadline: Deadline, _ name: String
    ) async throws(IOError) -> Int32 {
        try begin(name, deadline)
        defer { lease.end() }
        return try await runtime.perform(operation, deadline.nanoseconds, name, path).result
    }
}

/// Opens a file, runs `body`, and closes the file, also if `body` throws or the task is cancelled.
///
/// - Throws: the errors of ``File/open(_:_:options:permissions:runtime:deadline:)``; what `body` throws; if `body`
///   succeeds, the errors of ``File/close()``.
public func withFile<R>(
    _ path: Path, _ access: File.Access = .read, options: File.OpenOptions = [], permissions: UInt16 = 0o644,
    runtime: IORuntime = .shared, _ body: (File) async throws -> R
) async throws -> R {
    let file = try await File.open(path, access, options: options, permissions: permissions, runtime: runtime)
    let result: R
    do {
        result = try await body(file)
    } catch {
        // The error of `body` is the cause; an error of the close would hide it.
        try? await file.close()
        throw error
    }
    try await file.close()
    return result
}
