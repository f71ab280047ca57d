public import CKernel

/// File attributes: permissions, owners, times, extended attributes; and the creation of special files.
extension Kernel {
    /// fchmod(2).
    public static func fchmod(_ descriptor: Int32, _ permissions: UInt32) -> Int {
        call(CK_NR_fchmod, Int(descriptor), Int(permissions))
    }

    /// fchmodat(2), which follows a symbolic link.
    public static func fchmodat(_ directory: Int32, _ path: UnsafePointer<CChar>, _ permissions: UInt32) -> Int {
        call(CK_NR_fchmodat, Int(directory), address(path), Int(permissions))
    }

    /// fchmodat2(2), since Linux 6.6, which can act on a symbolic link itself.
    public static func fchmodat2(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ permissions: UInt32, _ flags: Int32
    ) -> Int {
        call(CK_NR_fchmodat2, Int(directory), address(path), Int(permissions), Int(flags))
    }

    /// fchown(2). UInt32.max leaves the user or group unchanged.
    public static func fchown(_ descriptor: Int32, _ user: UInt32, _ group: UInt32) -> Int {
        call(CK_NR_fchown, Int(descriptor), Int(user), Int(group))
    }

    /// fchownat(2). UInt32.max leaves the user or group unchanged.
    public static func fchownat(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ user: UInt32, _ group: UInt32, _ flags: Int32
    ) -> Int {
        call(CK_NR_fchownat, Int(directory), address(path), Int(user), Int(group), Int(flags))
    }

    /// utimensat(2); with a nil path, the times of the descriptor itself.
    public static func utimensat(
        _ directory: Int32, _ path: UnsafePointer<CChar>?, _ times: UnsafePointer<(ck_timespec, ck_timespec)>,
        _ flags: Int32
    ) -> Int {
        call(CK_NR_utimensat, Int(directory), address(path), address(times), Int(flags))
    }

    /// readlinkat(2). Returns the bytes written to `buffer`, truncated to `count`, and not NUL-terminated.
    public static func readlinkat(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ buffer: UnsafeMutableRawPointer, _ count: Int
    ) -> Int {
        call(CK_NR_readlinkat, Int(directory), address(path), address(buffer), count)
    }

    /// mknodat(2). `mode` includes the file type. `device` is in the kernel's encoding, and for devices only.
    public static func mknodat(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ mode: UInt32, _ device: UInt32
    ) -> Int {
        call(CK_NR_mknodat, Int(directory), address(path), Int(mode), Int(device))
    }

    /// copy_file_range(2) at the same offset in both files; the descriptors' positions are not used.
    public static func copyFileRange(_ source: Int32, _ target: Int32, at offset: Int64, _ count: Int) -> Int {
        var (sourceOffset, targetOffset) = (offset, offset)
        return withUnsafeMutablePointer(to: &sourceOffset) { from in
            withUnsafeMutablePointer(to: &targetOffset) { to in
                call(CK_NR_copy_file_range, Int(source), address(from), Int(target), address(to), count, 0)
            }
        }
    }

    /// flistxattr(2): fills `list` with NUL-terminated names. Returns their size, also without a `list`.
    public static func flistxattr(_ descriptor: Int32, _ list: UnsafeMutableRawPointer?, _ count: Int) -> Int {
        call(CK_NR_flistxattr, Int(descriptor), address(list), count)
    }

    /// fgetxattr(2). Returns the bytes of the value.
    public static func fgetxattr(
        _ descriptor: Int32, _ name: UnsafePointer<CChar>, _ value: UnsafeMutableRawPointer?, _ count: Int
    ) -> Int {
        call(CK_NR_fgetxattr, Int(descriptor), address(name), address(value), count)
    }

    /// fsetxattr(2).
    public static func fsetxattr(
        _ descriptor: Int32, _ name: UnsafePointer<CChar>, _ value: UnsafeRawPointer?, _ count: Int, _ flags: Int32 = 0
    ) -> Int {
        call(CK_NR_fsetxattr, Int(descriptor), address(name), address(value), count, Int(flags))
    }

    /// fremovexattr(2).
    public static func fremovexattr(_ descriptor: Int32, _ name: UnsafePointer<CChar>) -> Int {
        call(CK_NR_fremovexattr, Int(descriptor), address(name))
    }

    /// llistxattr(2).
    public static func llistxattr(
        _ path: UnsafePointer<CChar>, _ list: UnsafeMutableRawPointer?, _ count: Int
    ) -> Int {
        call(CK_NR_llistxattr, address(path), address(list), count)
    }

    /// lgetxattr(2).
    public static func lgetxattr(
        _ path: UnsafePointer<CChar>, _ name: UnsafePointer<CChar>, _ value: UnsafeMutableRawPointer?, _ count: Int
    ) -> Int {
        call(CK_NR_lgetxattr, address(path), address(name), address(value), count)
    }

    /// lsetxattr(2).
    public static func lsetxattr(
        _ path: UnsafePointer<CChar>, _ name: UnsafePointer<CChar>, _ value: UnsafeRawPointer?, _ count: Int
    ) -> Int {
        call(CK_NR_lsetxattr, address(path), address(name), address(value), count, 0)
    }

    /// lremovexattr(2).
    public static func lremovexattr(_ path: UnsafePointer<CChar>, _ name: UnsafePointer<CChar>) -> Int {
        call(CK_NR_lremovexattr, address(path), address(name))
    }
}
