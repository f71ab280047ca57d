internal import AIOCore
internal import CKernel

/// What works on paths: names, metadata, and whole files at once.
///
/// A relative path begins at the working directory, as it is when the operation is carried out. Each function is one
/// operation on a loop unless it says otherwise; where the ring has none, a worker makes the system call. A cancelled
/// task gets `cancelled` only if nothing has happened; a system call that a worker has begun is not interrupted.
/// Errors name the operation and the path.
public enum FileSystem {
    /// What the file system knows of a file. Of a symbolic link itself, unless `followLinks`. statx(2).
    public static func status(
        of path: Path, followLinks: Bool = true, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> FileStatus {
        let result = UnsafeMutablePointer<ck_statx>.allocate(capacity: 1)
        defer { result.deallocate() }
        result.initialize(to: ck_statx())
        _ = try await runtime.perform("statx", path, deadline) {
            .status(
                directory: CK_AT_FDCWD, path: $0, flags: followLinks ? 0 : CK_AT_SYMLINK_NOFOLLOW,
                mask: FileStatus.mask, result: result)
        }
        return FileStatus(result.pointee)
    }

    /// How large the file system is that a path lies on, and how much of it is free. statfs(2).
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
    /// An operation on a path, whose NUL-terminated form stays until it is over.
    func perform(
        _ name: String, _ path: Path, _ deadline: Deadline, _ operation: (UnsafePointer<CChar>) -> Operation
    ) async throws(IOError) -> Int32 {
        let memory = try path.copyCString(for: name)
        defer { memory.deallocate() }
        return try await perform(operation(memory), deadline.nanoseconds, name, path).result
    }

    /// An operation on two paths. Errors name the first, and the second as advice.
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
