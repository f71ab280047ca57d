internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Flags of renameat2(2).
    public struct RenameOptions: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// Fails with ``IOError/Code/alreadyExists`` if the new name exists, instead of replacing it.
        public static let noReplace = RenameOptions(rawValue: CK_RENAME_NOREPLACE)
        /// Exchanges the two names atomically. Both must exist.
        public static let exchange = RenameOptions(rawValue: CK_RENAME_EXCHANGE)
    }

    /// Renames a file or directory within its file system. An existing file of the new name is replaced atomically: at
    /// any moment the name refers to one or the other. Symbolic links are renamed, not followed. The new name is
    /// durable only after a sync of its directory. Kernel call: renameat2(2).
    ///
    /// - Throws: `EXDEV` (``IOError/errno``) for a name on another file system; ``IOError/Code/alreadyExists`` or
    ///   `ENOTEMPTY` if the new name is a directory that is not empty; ``IOError/Code/isDirectory`` or
    ///   ``IOError/Code/notDirectory`` if only one of the two is a directory; ``IOError/Code/invalidArgument`` for an
    ///   option that the file system does not support.
    public static func rename(
        _ path: Path, to newPath: Path, options: RenameOptions = [], runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await runtime.perform("rename", path, newPath, deadline) {
            .rename(
                directory: CK_AT_FDCWD, path: $0, newDirectory: CK_AT_FDCWD, newPath: $1, flags: options.rawValue)
        }
    }

    /// Removes a name of a file, and the file with its last name once nobody has it open. Symbolic links are removed,
    /// not followed. Kernel call: unlinkat(2).
    ///
    /// - Throws: ``IOError/Code/isDirectory`` for a directory; ``IOError/Code/notFound``.
    public static func unlink(
        _ path: Path, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await runtime.perform("unlink", path, deadline) {
            .unlink(directory: CK_AT_FDCWD, path: $0, flags: 0)
        }
    }

    /// Removes an empty directory. Kernel call: unlinkat(2) with AT_REMOVEDIR.
    ///
    /// - Throws: `ENOTEMPTY` or `EBUSY` (``IOError/errno``) if it is not empty or a mount point;
    ///   ``IOError/Code/notDirectory``; ``IOError/Code/notFound``.
    public static func removeDirectory(
        _ path: Path, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await runtime.perform("rmdir", path, deadline) {
            .unlink(directory: CK_AT_FDCWD, path: $0, flags: CK_AT_REMOVEDIR)
        }
    }

    /// Gives a file another name on the same file system (a hard link). A symbolic link is linked itself, not followed.
    /// Kernel call: linkat(2).
    ///
    /// - Throws: ``IOError/Code/alreadyExists`` if the new name is taken; `EXDEV` or `EMLINK` (``IOError/errno``) for
    ///   another file system or too many links; ``IOError/Code/permissionDenied`` for a directory.
    public static func link(
        _ path: Path, to newPath: Path, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await runtime.perform("link", path, newPath, deadline) {
            .link(directory: CK_AT_FDCWD, path: $0, newDirectory: CK_AT_FDCWD, newPath: $1, flags: 0)
        }
    }

    /// Creates a symbolic link at `path` to `target`, which need not exist. A relative target is resolved from the
    /// directory of the link. Kernel call: symlinkat(2).
    ///
    /// - Throws: ``IOError/Code/alreadyExists`` if the name is taken.
    public static func makeSymbolicLink(
        at path: Path, to target: Path, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await runtime.perform("symlink", path, target, deadline) {
            .symbolicLink(target: $1, directory: CK_AT_FDCWD, path: $0)
        }
    }

    /// The target of a symbolic link, as it was given. Kernel call: readlinkat(2); a second call if the target is
    /// longer than 4095 bytes, which only the kernel's own links are.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the path is not a symbolic link.
    public static func readLink(
        _ path: Path, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> Path {
        // No file system stores a target of 4096 bytes (PATH_MAX). The links of /proc may be longer, and are far below
        // 1 MiB.
        for capacity in [4096, 1 << 20] {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 1)
            defer { buffer.deallocate() }
            let count = try await runtime.perform("readlink", path, deadline) {
                .call(.readLink(directory: CK_AT_FDCWD, path: $0, buffer: buffer.baseAddress!, count: capacity))
            }
            // A target that fills the buffer may be truncated.
            if count < capacity { return Path(bytes: buffer.prefix(Int(count))) }
        }
        throw IOError(.other, "readlink", path: path, advice: "the target is longer than 1 MiB")
    }
}
