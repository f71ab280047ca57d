public import CKernel

/// Files: reading and writing, opening and closing, file status and placement.
extension Kernel {
    /// preadv2(2). `offset` -1 reads at the descriptor's position, as readv(2) does.
    @inline(__always)
    public static func preadv2(
        _ descriptor: Int32, _ vectors: UnsafePointer<iovec>?, _ count: Int, _ offset: Int64, _ flags: UInt32
    ) -> Int {
        let result = call(CK_NR_preadv2, Int(descriptor), address(vectors), count, Int(offset), 0, Int(flags))
        guard isRefusal(result) else { return result }
        return transferWithoutFlags(
            (CK_NR_preadv2, CK_NR_preadv, CK_NR_readv), descriptor, vectors, count, offset, flags, result)
    }

    /// pwritev2(2). `offset` -1 writes at the descriptor's position, as writev(2) does.
    @inline(__always)
    public static func pwritev2(
        _ descriptor: Int32, _ vectors: UnsafePointer<iovec>?, _ count: Int, _ offset: Int64, _ flags: UInt32
    ) -> Int {
        let result = call(CK_NR_pwritev2, Int(descriptor), address(vectors), count, Int(offset), 0, Int(flags))
        guard isRefusal(result) else { return result }
        return transferWithoutFlags(
            (CK_NR_pwritev2, CK_NR_pwritev, CK_NR_writev), descriptor, vectors, count, offset, flags, result)
    }

    /// pread(2).
    @inline(__always)
    public static func pread(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer, _ count: Int, _ offset: Int64)
        -> Int
    {
        call(CK_NR_pread64, Int(descriptor), address(buffer), count, Int(offset))
    }

    /// pwrite(2).
    @inline(__always)
    public static func pwrite(_ descriptor: Int32, _ buffer: UnsafeRawPointer, _ count: Int, _ offset: Int64) -> Int {
        call(CK_NR_pwrite64, Int(descriptor), address(buffer), count, Int(offset))
    }

    /// read(2).
    public static func read(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer, _ count: Int) -> Int {
        call(CK_NR_read, Int(descriptor), address(buffer), count)
    }

    /// write(2).
    public static func write(_ descriptor: Int32, _ buffer: UnsafeRawPointer?, _ count: Int) -> Int {
        call(CK_NR_write, Int(descriptor), address(buffer), count)
    }

    /// readahead(2): starts reading the range into the page cache. May block on reading the file's extents.
    public static func readahead(_ descriptor: Int32, _ offset: Int64, _ count: Int) -> Int {
        call(CK_NR_readahead, Int(descriptor), Int(offset), count)
    }

    /// openat2(2).
    public static func openat2(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ how: UnsafePointer<ck_open_how>
    ) -> Int {
        let result = call(CK_NR_openat2, Int(directory), address(path), address(how), MemoryLayout<ck_open_how>.size)
        guard isRefusal(result) else { return result }
        return openat(directory, path, how, result)
    }

    /// close(2).
    @discardableResult
    public static func close(_ descriptor: Int32) -> Int { call(CK_NR_close, Int(descriptor)) }

    /// fcntl(2) with F_GETFL: the open file's access mode and status flags.
    public static func openFlags(_ descriptor: Int32) -> Int { call(CK_NR_fcntl, Int(descriptor), Int(CK_F_GETFL)) }

    /// fcntl(2) with F_SETFL.
    @discardableResult
    static func setOpenFlags(_ descriptor: Int32, _ flags: Int) -> Int {
        call(CK_NR_fcntl, Int(descriptor), Int(CK_F_SETFL), flags)
    }

    /// Opens the same file again, as another open file description with these flags: openat2(2) of
    /// /proc/thread-self/fd. /proc/self/fd is empty once the main thread has exited.
    static func reopen(_ descriptor: Int32, _ flags: UInt64) -> Int {
        let prefix: StaticString = "/proc/thread-self/fd/"
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 40) { path in
            for index in 0..<prefix.utf8CodeUnitCount { path[index] = CChar(prefix.utf8Start[index]) }
            var end = prefix.utf8CodeUnitCount
            var divisor: Int32 = 1_000_000_000
            while divisor > 0 {
                let digit = descriptor / divisor % 10
                if digit != 0 || end > prefix.utf8CodeUnitCount || divisor == 1 {
                    path[end] = CChar(UInt8(ascii: "0")) + CChar(digit)
                    end += 1
                }
                divisor /= 10
            }
            path[end] = 0
            var how = ck_open_how()
            how.flags = flags | CK_O_CLOEXEC | CK_O_NOCTTY
            guard let start = path.baseAddress else { return -Int(EFAULT) }
            return openat2(CK_AT_FDCWD, start, &how)
        }
    }

    /// fcntl(2) with F_DUPFD_CLOEXEC: duplicates the descriptor to the lowest free number from `least` on.
    public static func duplicate(_ descriptor: Int32, from least: Int32 = 0) -> Int {
        call(CK_NR_fcntl, Int(descriptor), Int(CK_F_DUPFD_CLOEXEC), Int(least))
    }

    /// fcntl(2) with F_DUPFD_QUERY, Linux 6.10, or before that kcmp(2): whether both numbers name one open file. False
    /// if neither is available.
    static func isSameOpenFile(_ descriptor: Int32, _ other: Int32) -> Bool {
        let answer = call(CK_NR_fcntl, Int(descriptor), Int(CK_F_DUPFD_QUERY), Int(other))
        guard answer == -Int(EINVAL) else { return answer == 1 }
        let thread = Int(threadID())
        return call(CK_NR_kcmp, thread, thread, Int(CK_KCMP_FILE), Int(descriptor), Int(other)) == 0
    }

    /// kcmp(2) with KCMP_FILES: whether the caller and another thread share a descriptor table. False if it is not
    /// available.
    static func sharesFiles(with thread: Int32) -> Bool {
        call(CK_NR_kcmp, Int(threadID()), Int(thread), Int(CK_KCMP_FILES)) == 0
    }

    /// Whether the kernel supports RWF_NOAPPEND (6.9), inferred from F_DUPFD_QUERY (6.10), the next version's.
    public static func knowsNoAppend(_ anyDescriptor: Int32) -> Bool {
        call(CK_NR_fcntl, Int(anyDescriptor), Int(CK_F_DUPFD_QUERY), Int(anyDescriptor)) == 1
    }

    /// The start of the numbers for the library's descriptors: programs expect their next descriptor to be the lowest
    /// free number.
    public static func guestNumbers() -> Int32 {
        var limit = ck_rlimit()
        guard Kernel.limit(CK_RLIMIT_NOFILE, &limit) == 0 else { return 0 }
        return Int32(clamping: min(limit.soft, 4096) * 7 / 8)
    }

    /// The number of descriptors that this process can still open, according to /proc; without it, half of the limit.
    public static func freeDescriptors() -> Int {
        var limit = ck_rlimit()
        guard Kernel.limit(CK_RLIMIT_NOFILE, &limit) == 0 else { return 0 }
        let most = Int(clamping: limit.soft)
        // With so many nobody runs short, and counting would take long.
        guard most < 1 << 16 else { return most }
        var how = ck_open_how(flags: CK_O_RDONLY | CK_O_DIRECTORY | CK_O_CLOEXEC, mode: 0, resolve: 0)
        let path: StaticString = "/proc/thread-self/fd"
        let folder = openat2(CK_AT_FDCWD, UnsafeRawPointer(path.utf8Start).assumingMemoryBound(to: CChar.self), &how)
        guard folder >= 0 else { return folder == -Int(EMFILE) ? 0 : most / 2 }
        defer { close(Int32(folder)) }
        // The entries "." and "..", and the directory itself.
        return max(0, most - (countEntries(Int32(folder)) - 3))
    }

    private static func countEntries(_ folder: Int32) -> Int {
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { buffer in
            var count = 0
            while true {
                let filled = getdents64(folder, buffer.baseAddress!, buffer.count)
                guard filled > 0 else { return count }
                var start = 0
                while start < filled {
                    count += 1
                    start += Int((buffer.baseAddress! + start).load(as: ck_directory_entry.self).size)
                }
            }
        }
    }

    /// fcntl(2) with F_OFD_GETLK: whether any process, including this one, has a record lock on the file. The query
    /// acts for the open file description, which conflicts with the locks of every process.
    static func hasRecordLocks(_ descriptor: Int32) -> Bool {
        var range = ck_flock()
        range.type = CK_F_WRLCK
        guard call(CK_NR_fcntl, Int(descriptor), Int(CK_F_OFD_GETLK), address(&range)) == 0 else { return false }
        return range.type != CK_F_UNLCK
    }

    /// statx(2).
    public static func statx(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ flags: Int32, _ mask: UInt32,
        _ result: UnsafeMutablePointer<ck_statx>
    ) -> Int {
        let answer = call(CK_NR_statx, Int(directory), address(path), Int(flags), Int(mask), address(result))
        guard isRefusal(answer) else { return answer }
        return fstatat(directory, path, flags, result, answer)
    }

    /// statx(2) of an open descriptor.
    public static func status(_ descriptor: Int32, _ mask: UInt32, _ result: UnsafeMutablePointer<ck_statx>) -> Int {
        var empty: CChar = 0
        return statx(descriptor, &empty, CK_AT_EMPTY_PATH, mask, result)
    }

    /// getxattr(2): whether a file has an attribute of this name.
    public static func hasExtendedAttribute(_ name: StaticString, _ path: UnsafePointer<CChar>) -> Bool {
        call(CK_NR_getxattr, address(path), address(name.utf8Start), 0, 0) >= 0
    }

    /// The backing of a file with this status; `device` if the kernel does not tell.
    static func backing(_ descriptor: Int32, _ status: ck_statx) -> Descriptor.Backing {
        guard let type = fileSystemType(descriptor, status) else { return .device }
        switch UInt32(truncatingIfNeeded: type) {
        case CK_TMPFS_MAGIC, CK_RAMFS_MAGIC:
            return .memory
        case CK_FUSE_SUPER_MAGIC, CK_NFS_SUPER_MAGIC, CK_CIFS_SUPER_MAGIC, CK_SMB2_SUPER_MAGIC, CK_V9FS_MAGIC,
            CK_CEPH_SUPER_MAGIC, CK_AFS_SUPER_MAGIC, CK_CODA_SUPER_MAGIC, CK_LUSTRE_SUPER_MAGIC:
            return .remote
        default: return .device
        }
    }

    /// The file system's magic number. Without a device, by statmount(2), since 6.8: fstatfs(2) may block on a remote
    /// file system's server. Otherwise by fstatfs(2).
    private static func fileSystemType(_ descriptor: Int32, _ status: ck_statx) -> UInt64? {
        if status.device_major == 0, status.mask & CK_STATX_MNT_ID_UNIQUE != 0 {
            var request = ck_mount_request(
                size: UInt32(MemoryLayout<ck_mount_request>.size), spare: 0, mount_id: status.mount_id,
                mask: CK_STATMOUNT_SB_BASIC)
            var mount = ck_mount_status()
            let size = MemoryLayout<ck_mount_status>.size
            // Fails for a mount outside of the mount tree.
            if call(CK_NR_statmount, address(&request), address(&mount), size, 0) >= 0 { return mount.type }
        }
        var result = ck_statfs()
        guard call(CK_NR_fstatfs, Int(descriptor), address(&result)) >= 0 else { return nil }
        return UInt64(bitPattern: result.type)
    }

    /// statfs(2).
    public static func statfs(_ path: UnsafePointer<CChar>, _ result: UnsafeMutablePointer<ck_statfs>) -> Int {
        call(CK_NR_statfs, address(path), address(result))
    }

    /// unlinkat(2).
    @discardableResult
    public static func unlinkat(_ directory: Int32, _ path: UnsafePointer<CChar>, _ flags: Int32) -> Int {
        call(CK_NR_unlinkat, Int(directory), address(path), Int(flags))
    }

    /// renameat2(2).
    public static func renameat2(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ newDirectory: Int32, _ newPath: UnsafePointer<CChar>,
        _ flags: UInt32
    ) -> Int {
        call(CK_NR_renameat2, Int(directory), address(path), Int(newDirectory), address(newPath), Int(flags))
    }

    /// mkdirat(2).
    public static func mkdirat(_ directory: Int32, _ path: UnsafePointer<CChar>, _ permissions: UInt32) -> Int {
        call(CK_NR_mkdirat, Int(directory), address(path), Int(permissions))
    }

    /// linkat(2).
    public static func linkat(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ newDirectory: Int32, _ newPath: UnsafePointer<CChar>,
        _ flags: Int32
    ) -> Int {
        call(CK_NR_linkat, Int(directory), address(path), Int(newDirectory), address(newPath), Int(flags))
    }

    /// symlinkat(2).
    public static func symlinkat(_ target: UnsafePointer<CChar>, _ directory: Int32, _ path: UnsafePointer<CChar>)
        -> Int
    {
        call(CK_NR_symlinkat, address(target), Int(directory), address(path))
    }

    /// getdents64(2): fills the buffer with `ck_directory_entry` records. Returns the bytes filled; 0 is the end.
    public static func getdents64(_ descriptor: Int32, _ buffer: UnsafeMutableRawPointer, _ count: Int) -> Int {
        call(CK_NR_getdents64, Int(descriptor), address(buffer), count)
    }

    /// lseek(2).
    public static func lseek(_ descriptor: Int32, _ offset: Int64, _ from: Int32) -> Int {
        call(CK_NR_lseek, Int(descriptor), Int(offset), Int(from))
    }

    /// fsync(2).
    public static func fsync(_ descriptor: Int32) -> Int { call(CK_NR_fsync, Int(descriptor)) }

    /// fdatasync(2).
    public static func fdatasync(_ descriptor: Int32) -> Int { call(CK_NR_fdatasync, Int(descriptor)) }

    /// sync_file_range(2).
    public static func syncFileRange(_ descriptor: Int32, _ offset: Int64, _ count: Int64, _ flags: UInt32) -> Int {
        call(CK_NR_sync_file_range, Int(descriptor), Int(offset), Int(count), Int(flags))
    }

    /// fallocate(2).
    public static func fallocate(_ descriptor: Int32, _ mode: Int32, _ offset: Int64, _ count: Int64) -> Int {
        call(CK_NR_fallocate, Int(descriptor), Int(mode), Int(offset), Int(count))
    }

    /// ftruncate(2).
    public static func ftruncate(_ descriptor: Int32, _ size: Int64) -> Int {
        call(CK_NR_ftruncate, Int(descriptor), Int(size))
    }

    /// fadvise64(2), behind posix_fadvise(3).
    public static func fadvise(_ descriptor: Int32, _ offset: Int64, _ count: Int64, _ advice: Int32) -> Int {
        call(CK_NR_fadvise64, Int(descriptor), Int(offset), Int(count), Int(advice))
    }

    /// cachestat(2), since 6.5: the page cache residency of a range.
    public static func cachestat(
        _ descriptor: Int32, _ range: UnsafePointer<ck_cachestat_range>, _ result: UnsafeMutablePointer<ck_cachestat>
    ) -> Int {
        call(CK_NR_cachestat, Int(descriptor), address(range), address(result), 0)
    }

    /// ioctl(2).
    public static func ioctl(_ descriptor: Int32, _ request: UInt, _ argument: Int) -> Int {
        call(CK_NR_ioctl, Int(descriptor), Int(bitPattern: request), argument)
    }
}
