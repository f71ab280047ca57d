internal import AIOCore
internal import CKernel

extension File {
    /// Sets when the file was last read and last written. utimensat(2).
    public func setTimes(
        access: FileTime = .unchanged, modification: FileTime = .unchanged, deadline: Deadline = .never
    ) async throws(IOError) {
        let times = copyTimes(access: access, modification: modification)
        defer { times.deallocate() }
        _ = try await perform(.call(.setTimes(descriptor.number, times: times)), deadline, "utimensat")
    }

    /// Sets the permissions, `0o644` say, with the bits of set-user-ID, set-group-ID and sticky. fchmod(2).
    public func setPermissions(_ permissions: UInt16, deadline: Deadline = .never) async throws(IOError) {
        _ = try await perform(
            .call(.setPermissions(descriptor.number, permissions: UInt32(permissions & 0o7777))), deadline, "fchmod")
    }

    /// Sets user and group by number; nil leaves one as it is. fchown(2).
    public func setOwner(
        userID: UInt32? = nil, groupID: UInt32? = nil, deadline: Deadline = .never
    ) async throws(IOError) {
        _ = try await perform(
            .call(.setOwner(descriptor.number, user: userID ?? .max, group: groupID ?? .max)), deadline, "fchown")
    }

    /// How large the file system is that the file lies on, and how much of it is free. fstatfs(2).
    public func fileSystemStatistics(deadline: Deadline = .never) async throws(IOError) -> FileSystemStatistics {
        let result = UnsafeMutablePointer<ck_statfs>.allocate(capacity: 1)
        defer { result.deallocate() }
        result.initialize(to: ck_statfs())
        _ = try await perform(.call(.fileSystemStatus(descriptor.number, result: result)), deadline, "fstatfs")
        return FileSystemStatistics(result.pointee)
    }
}
