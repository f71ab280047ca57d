internal import AIOCore
internal import CKernel

extension File {
    /// Sets the times of the last access and the last modification. Kernel call: utimensat(2).
    ///
    /// - Throws: ``IOError/Code/permissionDenied`` unless the caller owns the file, or may write to it and both times
    ///   are ``FileTime/now``.
    public func setTimes(
        access: FileTime = .unchanged, modification: FileTime = .unchanged, deadline: Deadline = .never
    ) async throws(IOError) {
        let times = copyTimes(access: access, modification: modification)
        defer { times.deallocate() }
        _ = try await perform(.call(.setTimes(descriptor.number, times: times)), deadline, "utimensat")
    }

    /// Sets the permissions, for example `0o644`, including set-user-ID, set-group-ID and sticky bits. Kernel call:
    /// fchmod(2).
    ///
    /// - Throws: ``IOError/Code/permissionDenied`` unless the caller owns the file.
    public func setPermissions(_ permissions: UInt16, deadline: Deadline = .never) async throws(IOError) {
        _ = try await perform(
            .call(.setPermissions(descriptor.number, permissions: UInt32(permissions & 0o7777))), deadline, "fchmod")
    }

    /// Sets the numeric owner and group; nil leaves one unchanged. The kernel clears set-user-ID and set-group-ID.
    /// Kernel call: fchown(2).
    ///
    /// - Throws: ``IOError/Code/permissionDenied`` for an owner without privileges, or a group that the caller is not
    ///   in.
    public func setOwner(
        userID: UInt32? = nil, groupID: UInt32? = nil, deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await perform(
            .call(.setOwner(descriptor.number, user: userID ?? .max, group: groupID ?? .max)), deadline, "fchown")
    }

    /// The size and the free space of the file system that contains the file. Kernel call: fstatfs(2).
    public func fileSystemStatistics(deadline: Deadline = .never) async throws(IOError) -> FileSystemStatistics {
        let result = UnsafeMutablePointer<ck_statfs>.allocate(capacity: 1)
        defer { result.deallocate() }
        result.initialize(to: ck_statfs())
        _ = try await perform(.call(.fileSystemStatus(descriptor.number, result: result)), deadline, "fstatfs")
        return FileSystemStatistics(result.pointee)
    }
}
