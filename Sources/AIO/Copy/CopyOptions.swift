internal import Synchronization

/// How ``FileSystem/copy(_:to:options:progress:files:runtime:deadline:failure:)`` copies.
public struct CopyOptions: Sendable {
    /// Replaces existing files atomically. Otherwise an existing file is a failure (``IOError/Code/alreadyExists``).
    /// Existing directories are copied into in either case.
    public var replaces = true
    /// Every file, and every directory with its names, is durable when the copy returns. Kernel call: fsync(2).
    public var sync = false
    /// Shares blocks between source and target if the file system supports it (FICLONE, copy_file_range(2)).
    public var sharesBlocks = true
    /// Keeps times, owners, permissions (including set-user-ID, set-group-ID and sticky bits) and extended attributes.
    /// Otherwise new files and directories get the permissions of their source less the umask, and defaults for the
    /// rest.
    public var keepsMetadata = true
    /// Directories on another file system than the source's are created and left empty.
    public var staysOnFileSystem = false
    /// The maximum number of operations in flight, 1 to 256. One operation copies up to 16 small files, or a part of a
    /// large file. Eight keep a disk and its queue busy.
    public var depth = 8

    /// Replaces files, keeps metadata, shares blocks, and does not sync.
    public init() {}
}

/// The progress of a copy, readable from any thread while the copy runs. Several copies that share it count together;
/// ``CopySummary`` has the numbers of each.
public final class CopyProgress: Sendable {
    // Relaxed throughout: the counters guard no data.
    private let fileCounter = Atomic<Int>(0)
    private let byteCounter = Atomic<Int64>(0)

    /// The progress of copies that have not begun.
    public init() {}

    /// The number of files that have their final names, not counting directories.
    public var files: Int { fileCounter.load(ordering: .relaxed) }
    /// The number of bytes copied, including those of incomplete files. Holes do not count; a cloned file counts with
    /// its whole size.
    public var bytes: Int64 { byteCounter.load(ordering: .relaxed) }

    func add(files count: Int) { fileCounter.wrappingAdd(count, ordering: .relaxed) }
    func add(bytes count: Int64) { byteCounter.wrappingAdd(count, ordering: .relaxed) }
}

/// The result of a copy.
public struct CopySummary: Sendable {
    /// The number of files that were copied or linked, not counting directories.
    public internal(set) var files = 0
    /// The number of directories that were created, or existed and were copied into.
    public internal(set) var directories = 0
    /// The number of bytes that this copy has copied, counted as in ``CopyProgress/bytes``.
    public internal(set) var bytes: Int64 = 0
    /// The number of files and directories that could not be copied, or only in part.
    public internal(set) var failures = 0
}
