internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Sets the times of the last access and the last modification; with `followLinks` false, of a symbolic link
    /// itself. Kernel call: utimensat(2).
    ///
    /// - Throws: ``IOError/Code/permissionDenied`` unless the caller owns the file, or may write to it and both times
    ///   are ``FileTime/now``.
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

    /// Sets the permissions, for example `0o644`, including set-user-ID, set-group-ID and sticky bits.
    ///
    /// With `followLinks` false a symbolic link fails with ``IOError/Code/notSupported``, since no file system stores
    /// permissions for links. Before Linux 6.6, which added fchmodat2(2), every file fails so. Kernel call:
    /// fchmodat2(2), or before Linux 6.6 fchmodat(2).
    ///
    /// - Throws: ``IOError/Code/permissionDenied`` unless the caller owns the file; ``IOError/Code/notSupported``.
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

    /// Sets the numeric owner and group; nil leaves one unchanged. With `followLinks` false, the call changes a
    /// symbolic link itself. The kernel clears set-user-ID and set-group-ID. Kernel call: fchownat(2).
    ///
    /// - Throws: ``IOError/Code/permissionDenied`` for an owner without privileges, or a group that the caller is not
    ///   in.
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
