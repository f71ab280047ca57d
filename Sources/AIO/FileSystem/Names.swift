internal import AIOCore
internal import CKernel

extension FileSystem {
    public struct RenameOptions: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// Fails with `alreadyExists` rather than replacing what has the new name.
        public static let noReplace = RenameOptions(rawValue: CK_RENAME_NOREPLACE)
        /// The two change places, at once. Both must be there.
        public static let exchange = RenameOptions(rawValue: CK_RENAME_EXCHANGE)
    }

    /// Gives a file or directory another name on the same file system. What had that name is replaced at once: at any
    /// moment the name stands for the one or the other. Symbolic links are renamed, not followed. renameat2(2).
    public static func rename(
        _ path: Path, to newPath: Path, options: RenameOptions = [], runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await runtime.perform("rename", path, newPath, deadline) {
            .rename(
                directory: CK_AT_FDCWD, path: $0, newDirectory: CK_AT_FDCWD, newPath: $1, flags: options.rawValue)
        }
    }

    /// Takes a file's name away, and the file with its last name. Throws `isDirectory` for a directory. unlinkat(2).
    public static func unlink(
        _ path: Path, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await runtime.perform("unlink", path, deadline) {
            .unlink(directory: CK_AT_FDCWD, path: $0, flags: 0)
        }
    }

    /// Removes an empty directory. unlinkat(2) with AT_REMOVEDIR.
    public static func removeDirectory(
        _ path: Path, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await runtime.perform("rmdir", path, deadline) {
            .unlink(directory: CK_AT_FDCWD, path: $0, flags: CK_AT_REMOVEDIR)
        }
    }

    /// Gives a file a second name on the same file system. A symbolic link gets one itself, and is not followed.
    /// linkat(2).
    public static func link(
        _ path: Path, to newPath: Path, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await runtime.perform("link", path, newPath, deadline) {
            .link(directory: CK_AT_FDCWD, path: $0, newDirectory: CK_AT_FDCWD, newPath: $1, flags: 0)
        }
    }

    /// Makes a symbolic link at `path` that leads to `target`, which need not be there; if relative, it is taken from
    /// where the link lies. symlinkat(2).
    public static func symbolicLink(
        at path: Path, to target: Path, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await runtime.perform("symlink", path, target, deadline) {
            .symbolicLink(target: $1, directory: CK_AT_FDCWD, path: $0)
        }
    }

    /// Where a symbolic link leads. Throws `invalidArgument` if it is none. readlinkat(2); once more for a target of
    /// more than 4095 bytes, which only links of the kernel's own have.
    public static func readLink(
        _ path: Path, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> Path {
        for capacity in [4096, 1 << 20] {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 1)
            defer { buffer.deallocate() }
            let count = try await runtime.perform("readlink", path, deadline) {
                .call(.readLink(directory: CK_AT_FDCWD, path: $0, buffer: buffer.baseAddress!, count: capacity))
            }
            // A target that fills the buffer may have been cut off.
            if count < capacity { return Path(bytes: buffer.prefix(Int(count))) }
        }
        throw IOError(.other, "readlink", path: path, advice: "the target is longer than 1 MiB")
    }
}
