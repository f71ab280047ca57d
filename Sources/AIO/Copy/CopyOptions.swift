internal import Synchronization

public struct CopyOptions: Sendable {
    /// Takes the place of files that are there already, each at once. Without, they are failures (`alreadyExists`).
    /// Directories that are there are copied into either way.
    public var replaces = true
    /// Every file, and every directory with its names, is durable when the copy returns. fsync(2).
    public var sync = false
    /// Lets source and target share their blocks where the file system can (FICLONE, copy_file_range).
    public var sharesBlocks = true
    /// Keeps times, owners, permissions (set-user-ID and its like included) and extended attributes. Without, files and
    /// directories that are made get the permissions of their source less the umask, and are new otherwise.
    public var keepsMetadata = true
    /// Directories that lie on another file system than the source are made, and left empty.
    public var staysOnFileSystem = false
    /// Hand-overs in flight: each is up to 16 small files, or a part of a large one. 1 to 256.
    public var depth = 8

    public init() {}
}

/// How far a copy has come. It may be read from any thread, while the copy goes on.
public final class CopyProgress: Sendable {
    // Relaxed throughout: the numbers stand for themselves.
    private let fileCounter = Atomic<Int>(0)
    private let byteCounter = Atomic<Int>(0)

    public init() {}

    /// Files that are there under their names: all but directories.
    public var files: Int { fileCounter.load(ordering: .relaxed) }
    /// Bytes copied, also those of files that are not complete yet; holes are none, and cloned files count whole.
    public var bytes: Int { byteCounter.load(ordering: .relaxed) }

    func add(files count: Int) { fileCounter.wrappingAdd(count, ordering: .relaxed) }
    func add(bytes count: Int) { byteCounter.wrappingAdd(count, ordering: .relaxed) }
}

/// What a copy did.
public struct CopySummary: Sendable {
    public internal(set) var files = 0
    public internal(set) var directories = 0
    public internal(set) var bytes = 0
    /// Files and directories that could not be copied, or not as a whole.
    public internal(set) var failures = 0
}
