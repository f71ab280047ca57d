import AIOCore
import Glibc

/// Whether execve(2) gives a program privileges that its caller does not have: the dynamic linker then ignores
/// LD_PRELOAD.
enum Privilege {
    /// How the file gains privileges; nil if it does not.
    static func gained(by path: String) -> String? {
        var state = stat()
        guard stat(path, &state) == 0, !isRefused(path) else { return nil }
        if state.st_mode & S_ISUID != 0, state.st_uid != getuid() { return "is setuid" }
        // Without group execute permission, the set-group-ID bit meant mandatory locking.
        if state.st_mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP, state.st_gid != getgid() { return "is setgid" }
        // Root already has all capabilities.
        if getuid() != 0, Kernel.hasExtendedAttribute("security.capability", path) {
            return "has file capabilities"
        }
        return nil
    }

    /// Whether the mount (nosuid) or this process (no_new_privs) prevents the gain.
    private static func isRefused(_ path: String) -> Bool {
        var mount = statvfs()
        if statvfs(path, &mount) == 0, mount.f_flag & UInt(ST_NOSUID) != 0 { return true }
        return Kernel.hasNoNewPrivileges()
    }
}
