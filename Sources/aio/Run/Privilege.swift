import AIOCore
import Glibc

/// Whether the kernel gives a program rights that its caller does not have: then the dynamic linker heeds no LD_PRELOAD.
enum Privilege {
    /// How the file would get them; nil if it gets none.
    static func gained(by path: String) -> String? {
        var state = stat()
        guard stat(path, &state) == 0, !isRefused(path) else { return nil }
        if state.st_mode & S_ISUID != 0, state.st_uid != getuid() { return "setuid" }
        // Without the right to execute for the group the bit has another meaning.
        if state.st_mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP, state.st_gid != getgid() { return "setgid" }
        // The super user has all capabilities anyway.
        if getuid() != 0, Kernel.hasExtendedAttribute("security.capability", path) {
            return "given capabilities"
        }
        return nil
    }

    /// Whether the mount, or this process, is barred from that.
    private static func isRefused(_ path: String) -> Bool {
        var mount = statvfs()
        if statvfs(path, &mount) == 0, mount.f_flag & UInt(ST_NOSUID) != 0 { return true }
        return Kernel.hasNoNewPrivileges()
    }
}
