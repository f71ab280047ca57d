internal import Glibc

extension FileSystem {
    /// Where temporary files go: what the environment says as TMPDIR, if that is an absolute path, or /tmp.
    public static var temporaryDirectory: Path {
        guard let value = getenv("TMPDIR"), value.pointee == CChar(bitPattern: UInt8(ascii: "/")) else { return "/tmp" }
        return Path(bytes: UnsafeBufferPointer(start: value, count: strlen(value)).lazy.map { UInt8(bitPattern: $0) })
    }

    /// Makes a directory with a name that nobody has, for the user alone, and returns its path. In `folder`, or where
    /// `temporaryDirectory` says. mkdirat(2), again if the name was taken.
    public static func makeTemporaryDirectory(
        in folder: Path? = nil, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> Path {
        var failure: IOError?
        for _ in 0..<64 {
            let path = (folder ?? temporaryDirectory).appending(.temporaryName("aio-"))
            do throws(IOError) {
                try await makeDirectory(path, permissions: 0o700, runtime: runtime, deadline: deadline)
                return path
            } catch {
                guard error.code == .alreadyExists else { throw error }
                failure = error
            }
        }
        throw failure ?? IOError(.alreadyExists, "mkdir", path: folder)
    }
}

/// Makes a temporary directory, runs `body`, and removes the directory with everything in it, whatever happens.
///
/// Throws what `body` throws; if that succeeded, what the removal throws.
public func withTemporaryDirectory<R>(
    in folder: Path? = nil, runtime: IORuntime = .shared, _ body: (Path) async throws -> R
) async throws -> R {
    let path = try await FileSystem.makeTemporaryDirectory(in: folder, runtime: runtime)
    let result: R
    do {
        result = try await body(path)
    } catch {
        // The first error is the one that tells what happened.
        try? await FileSystem.removeToTheEnd(path, runtime)
        throw error
    }
    try await FileSystem.removeToTheEnd(path, runtime)
    return result
}
