internal import AIOCore
internal import CKernel

/// Permissions of open files and directories; the descriptor may be an O_PATH one. For workers. The functions return 0
/// or a negative errno.
enum OpenPermissions {
    /// fchmodat2(2); before Linux 6.6 through /proc.
    static func set(_ permissions: UInt32, _ descriptor: Int32) -> Int {
        let result = "".withCString { Kernel.fchmodat2(descriptor, $0, permissions, CK_AT_EMPTY_PATH) }
        // EPERM comes from filters that do not know the call.
        guard result == -Int(ENOSYS) || result == -Int(EPERM) else { return result }
        return "/proc/self/fd/\(descriptor)".withCString { Kernel.fchmodat(CK_AT_FDCWD, $0, permissions) }
    }

    /// Adds permissions that the umask may have taken from the owner of a new file or directory.
    static func grantOwner(_ permissions: UInt32, _ descriptor: Int32) -> Int {
        var status = ck_statx()
        let found = Kernel.status(descriptor, FileStatus.mask, &status)
        guard found >= 0 else { return found }
        let own = UInt32(status.mode & 0o7777)
        return own & permissions == permissions ? 0 : set(own | permissions, descriptor)
    }
}
