internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Sets when a file was last read and last written. Of a symbolic link itself, unless `followLinks`. utimensat(2).
    public static func setTimes(
        of path: Path, access: FileTime = .unchanged, modification: FileTime = .unchanged, followLinks: Bool = true,
        runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        let times = copyTimes(access: access, modification: modification)
        defer { times.deallocate() }
        _ = try await runtime.perform("utimensat", path, deadline) {
            .call(
                .setTimes(directory: CK_AT_FDCWD, path: $0, times: times, flags: flags(followLinks)))
        }
    }

    /// Sets the permissions, `0o644` say, with the bits of set-user-ID, set-group-ID and sticky. Without `followLinks`
    /// a symbolic link fails with `notSupported`, as no file system keeps permissions for it. fchmodat2(2); before
    /// Linux 6.6, which does not know it, `followLinks` false is `notSupported` for all files.
    public static func setPermissions(
        _ permissions: UInt16, of path: Path, followLinks: Bool = true, runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await runtime.perform("chmod", path, deadline) {
            .call(
                .setPermissions(
                    directory: CK_AT_FDCWD, path: $0, permissions: UInt32(permissions & 0o7777),
                    flags: flags(followLinks)))
        }
    }

    /// Sets user and group by number; nil leaves one as it is. Of a symbolic link itself, unless `followLinks`. The
    /// kernel then clears set-user-ID and set-group-ID. fchownat(2).
    public static func setOwner(
        of path: Path, userID: UInt32? = nil, groupID: UInt32? = nil, followLinks: Bool = true,
        runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await runtime.perform("chown", path, deadline) {
            .call(
                .setOwner(
                    directory: CK_AT_FDCWD, path: $0, user: userID ?? .max, group: groupID ?? .max,
                    flags: flags(followLinks)))
        }
    }

    private static func flags(_ followLinks: Bool) -> Int32 { followLinks ? 0 : CK_AT_SYMLINK_NOFOLLOW }
}
