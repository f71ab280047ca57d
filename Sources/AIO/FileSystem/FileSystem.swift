internal import AIOCore
internal import CKernel

/// Operations on paths: names, metadata, whole files, directory trees.
///
/// A relative path starts at the working directory at the time when the operation runs. Each function is one operation
/// on a loop unless its documentation says otherwise; a worker makes the system calls that the ring does not have. A
/// single operation that throws ``IOError/Code/cancelled`` or ``IOError/Code/deadlineExceeded`` has changed nothing,
/// and a system call that a worker has begun is not interrupted. Errors name the operation and the path
/// (``IOError/operation``, ``IOError/path``).
public enum FileSystem {
    /// A file's metadata; with `followLinks` false, that of a symbolic link itself. On the calling thread if the kernel
    /// has the path in its caches. Kernel calls: statx(2), openat2(2).
    ///
    /// - Throws: ``IOError/Code/notFound`` if the path does not exist, also as the target of a dangling link;
    ///   ``IOError/Code/notDirectory``; ``IOError/Code/permissionDenied`` if a directory cannot be searched.
    public static func status(
        of path: Path, followLinks: Bool = true, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> FileStatus {
        let result = UnsafeMutablePointer<ck_statx>.allocate(capacity: 1)
        defer { result.deallocate() }
        result.initialize(to: ck_statx())
        let name = try path.copyCString(for: "statx")
        defer { name.deallocate() }
        let attempt: Void? = try runtime.attempted("statx", path, deadline) {
            CachedLookup.status(
                CK_AT_FDCWD, name, followLinks: followLinks, mask: FileStatus.mask, &result.pointee)
        }
        if attempt == nil {
            let flags = followLinks ? 0 : CK_AT_SYMLINK_NOFOLLOW
            let operation = Operation.status(
                directory: CK_AT_FDCWD, path: name, flags: flags, mask: FileStatus.mask, result: result)
            _ = try await runtime.perform(operation, deadline.nanoseconds, "statx", path)
        }
        return FileStatus(result.pointee)
    }

    /// The size and free space of the file system that contains a path. Kernel call: statfs(2).
    public static func statistics(
        of path: Path, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> FileSystemStatistics {
        let result = UnsafeMutablePointer<ck_statfs>.allocate(capacity: 1)
        defer { result.deallocate() }
        result.initialize(to: ck_statfs())
        _ = try await runtime.perform("statfs", path, deadline) {
            .call(.fileSystemStatus(path: $0, result: result))
        }
        return FileSystemStatistics(result.pointee)
    }
}

extension IORuntime {
    /// Carries out an operation on a path, and keeps its NUL-terminated copy until the operation has completed.
    func perform(
        _ name: String, _ path: Path, _ deadline: Deadline, _ operation: (UnsafePointer<CChar>) -> Operation
    ) async throws(IOError) -> Int32 {
        let memory = try path.copyCString(for: name)
        defer { memory.deallocate() }
        return try await perform(operation(memory), deadline.nanoseconds, name, path).result
    }

    /// Carries out an operation on two paths. Errors name the first as their path, and the second in their advice.
    func perform(
        _ name: String, _ path: Path, _ other: Path, _ deadline: Deadline,
        _ operation: (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Operation
    ) async throws(IOError) -> Int32 {
        let memory = try path.copyCString(for: name)
        defer { memory.deallocate() }
        let otherMemory = try other.copyCString(for: name)
        defer { otherMemory.deallocate() }
        do throws(IOError) {
            return try await perform(operation(memory, otherMemory), deadline.nanoseconds, name, path).result
        } catch {
            var error = error
            error.advice = error.advice ?? "the other path is \(other)"
            throw error
        }
    }
}
