internal import AIOCore

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

extension FileSystem {
    /// The directory for temporary files: the value of TMPDIR if it is an absolute path, otherwise /tmp.
    public static var temporaryDirectory: Path {
        guard let value = getenv("TMPDIR"), value.pointee == CChar(bitPattern: UInt8(ascii: "/")) else { return "/tmp" }
        return Path(bytes: UnsafeBufferPointer(start: value, count: strlen(value)).lazy.map { UInt8(bitPattern: $0) })
    }

    /// Creates a directory with an unused random name in `directory`, by default in ``temporaryDirectory``, and returns
    /// its path. Its permissions are 0700, whatever the umask: only the owner may access it.
    ///
    /// The caller removes it. After an error there is no directory. Kernel calls: mkdirat(2), repeated if the name was
    /// taken, openat2(2), and fchmodat2(2) if the umask took permissions from the owner.
    public static func makeTemporaryDirectory(
        in directory: Path? = nil, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> Path {
        var failure: IOError?
        // A name has 64 random bits, so even one that is taken is a rarity; the limit ends the loop on a file system
        // that answers so for every name.
        for _ in 0..<64 {
            let path = (directory ?? temporaryDirectory).appending(.temporaryName("aio-"))
            do throws(IOError) {
                let work = try UsableDirectory(path, 0o700, deadline)
                _ = try await runtime.perform(work, "mkdir", path, deadline)
                return path
            } catch {
                guard error.code == .alreadyExists else { throw error }
                failure = error
            }
        }
        throw failure ?? IOError(.alreadyExists, "mkdir", path: directory)
    }
}

/// Creates a temporary directory, runs `body`, and removes the directory with everything in it, also if `body` throws.
///
/// - Throws: the errors of ``FileSystem/makeTemporaryDirectory(in:runtime:deadline:)``; what `body` throws; if `body`
///   succeeds, the errors of ``FileSystem/removeRecursively(_:runtime:deadline:)``.
public func withTemporaryDirectory<R>(
    in directory: Path? = nil, runtime: IORuntime = .shared, _ body: (Path) async throws -> R
) async throws -> R {
    let path = try await FileSystem.makeTemporaryDirectory(in: directory, runtime: runtime)
    let result: R
    do {
        result = try await body(path)
    } catch {
        // The error of `body` is the cause; an error of the removal would hide it.
        try? await FileSystem.removeToTheEnd(path, runtime)
        throw error
    }
    try await FileSystem.removeToTheEnd(path, runtime)
    return result
}
