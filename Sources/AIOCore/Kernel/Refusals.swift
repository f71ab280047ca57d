internal import CKernel

/// Fallbacks for system calls that a seccomp(2) filter refuses or an old kernel lacks: another call with the same
/// effect, or less. Filters mostly return EPERM or ENOSYS. A file may return these too, so the call is repeated with
/// invalid arguments, which only a filter refuses in this way.
extension Kernel {
    @inline(__always)
    static func isRefusal(_ result: Int) -> Bool {
        result == -Int(ENOSYS) || result == -Int(EPERM) || result == -Int(EACCES)
    }

    /// readv(2) and the like, for the flags that can be emulated; EOPNOTSUPP for any other, as for a file that does not
    /// support it.
    @inline(never)
    static func transferWithoutFlags(
        _ numbers: (withFlags: Int, atOffset: Int, atPosition: Int), _ descriptor: Int32,
        _ vectors: UnsafePointer<iovec>?, _ count: Int, _ offset: Int64, _ flags: UInt32, _ result: Int
    ) -> Int {
        guard isRefusal(call(numbers.withFlags, -1, 0, 0, 0, 0, 0)) else { return result }
        var rest = flags & ~(CK_RWF_HIPRI | CK_RWF_SYNC | CK_RWF_DSYNC)
        if rest & (CK_RWF_APPEND | CK_RWF_NOAPPEND) != 0 {
            // Matches how the file is open, or cannot be emulated.
            let isAppending = UInt64(max(0, openFlags(descriptor))) & CK_O_APPEND != 0
            rest &= ~(isAppending ? CK_RWF_APPEND : CK_RWF_NOAPPEND)
        }
        guard rest == 0 else { return -Int(EOPNOTSUPP) }
        let done =
            offset < 0
            ? call(numbers.atPosition, Int(descriptor), address(vectors), count)
            : call(numbers.atOffset, Int(descriptor), address(vectors), count, Int(offset), 0)
        guard done > 0, flags & (CK_RWF_SYNC | CK_RWF_DSYNC) != 0 else { return done }
        let synced = flags & CK_RWF_SYNC != 0 ? fsync(descriptor) : fdatasync(descriptor)
        return synced < 0 ? synced : done
    }

    /// openat(2), which has no path resolution restrictions: with `resolve` flags the refusal stands.
    @inline(never)
    static func openat(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ how: UnsafePointer<ck_open_how>, _ result: Int
    ) -> Int {
        guard isRefusal(call(CK_NR_openat2, -1, 0, 0, 0)), how.pointee.resolve == 0 else { return result }
        return call(CK_NR_openat, Int(directory), address(path), Int(how.pointee.flags), Int(how.pointee.mode))
    }

    /// newfstatat(2), which lacks the birth time and the alignment for direct I/O.
    @inline(never)
    static func fstatat(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ flags: Int32, _ result: UnsafeMutablePointer<ck_statx>,
        _ refusal: Int
    ) -> Int {
        guard isRefusal(call(CK_NR_statx, -1, 0, 0, 0, 0)) else { return refusal }
        var status = stat()
        let known = flags & (CK_AT_EMPTY_PATH | CK_AT_SYMLINK_NOFOLLOW | CK_AT_NO_AUTOMOUNT)
        let answer = call(CK_NR_newfstatat, Int(directory), address(path), address(&status), Int(known))
        if answer == 0 { result.pointee = ck_statx(status) }
        return answer
    }
}

extension ck_statx {
    init(_ status: stat) {
        self.init()
        mask = CK_STATX_BASIC_STATS
        mode = UInt16(truncatingIfNeeded: status.st_mode)
        link_count = UInt32(clamping: status.st_nlink)
        user = status.st_uid
        group = status.st_gid
        inode = UInt64(status.st_ino)
        size = UInt64(bitPattern: Int64(status.st_size))
        blocks = UInt64(bitPattern: Int64(status.st_blocks))
        access_time = Self.time(status.st_atim)
        modification_time = Self.time(status.st_mtim)
        change_time = Self.time(status.st_ctim)
        (device_major, device_minor) = Self.device(UInt64(status.st_dev))
        (special_device_major, special_device_minor) = Self.device(UInt64(status.st_rdev))
    }

    private static func time(_ time: timespec) -> ck_statx_timestamp {
        var made = ck_statx_timestamp()
        made.seconds = Int64(time.tv_sec)
        made.nanoseconds = UInt32(truncatingIfNeeded: time.tv_nsec)
        return made
    }

    /// As gnu_dev_major(3) and gnu_dev_minor(3) compute them.
    private static func device(_ device: UInt64) -> (UInt32, UInt32) {
        let major = (device >> 8 & 0xfff) | (device >> 32 & 0xffff_f000)
        let minor = (device & 0xff) | (device >> 12 & 0xffff_ff00)
        return (UInt32(truncatingIfNeeded: major), UInt32(truncatingIfNeeded: minor))
    }
}
