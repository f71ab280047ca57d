public import CKernel

/// The calls on paths. Relative paths start at `directory`, or with AT_FDCWD at the working directory.
extension BlockingCall {
    /// readlinkat(2). Completes with the bytes written to `buffer`, truncated to `count`, and not NUL-terminated.
    public static func readLink(
        directory: Int32, path: UnsafePointer<CChar>, buffer: UnsafeMutableRawPointer, count: Int
    ) -> BlockingCall {
        BlockingCall(.readlinkat, Int(directory), Kernel.address(path), Kernel.address(buffer), count)
    }

    /// fchmodat2(2), 6.6; before that fchmodat(2), which always follows a symbolic link. `flags` are its AT_ flags.
    public static func setPermissions(
        directory: Int32, path: UnsafePointer<CChar>, permissions: UInt32, flags: Int32
    ) -> BlockingCall {
        BlockingCall(.fchmodat2, Int(directory), Kernel.address(path), Int(permissions), Int(flags))
    }

    /// fchownat(2). UInt32.max leaves the user or group unchanged.
    public static func setOwner(
        directory: Int32, path: UnsafePointer<CChar>, user: UInt32, group: UInt32, flags: Int32
    ) -> BlockingCall {
        BlockingCall(.fchownat, Int(directory), Kernel.address(path), Int(user), Int(group), flags)
    }

    /// utimensat(2): access and modification time; nil sets both to now.
    public static func setTimes(
        directory: Int32, path: UnsafePointer<CChar>, times: UnsafePointer<(ck_timespec, ck_timespec)>?, flags: Int32
    ) -> BlockingCall {
        BlockingCall(.utimensat, Int(directory), Kernel.address(path), Kernel.address(times), Int(flags))
    }

    /// statfs(2).
    public static func fileSystemStatus(
        path: UnsafePointer<CChar>, result: UnsafeMutablePointer<ck_statfs>
    ) -> BlockingCall {
        BlockingCall(.statfs, Kernel.address(path), Kernel.address(result))
    }
}

/// The calls on open files.
extension BlockingCall {
    /// fchmod(2).
    public static func setPermissions(_ descriptor: Int32, permissions: UInt32) -> BlockingCall {
        BlockingCall(.fchmod, Int(descriptor), Int(permissions))
    }

    /// fchown(2). UInt32.max leaves the user or group unchanged.
    public static func setOwner(_ descriptor: Int32, user: UInt32, group: UInt32) -> BlockingCall {
        BlockingCall(.fchown, Int(descriptor), Int(user), Int(group))
    }

    /// utimensat(2) without a path: access and modification time; nil sets both to now.
    public static func setTimes(
        _ descriptor: Int32, times: UnsafePointer<(ck_timespec, ck_timespec)>?
    ) -> BlockingCall {
        BlockingCall(.utimensat, Int(descriptor), 0, Kernel.address(times))
    }

    /// fstatfs(2).
    public static func fileSystemStatus(
        _ descriptor: Int32, result: UnsafeMutablePointer<ck_statfs>
    ) -> BlockingCall {
        BlockingCall(.fstatfs, Int(descriptor), Kernel.address(result))
    }

    /// lseek(2): SEEK_DATA, SEEK_HOLE and the others. Completes with 0, and stores the resulting offset in `position`.
    public static func seek(
        _ descriptor: Int32, offset: Int64, from: Int32, position: UnsafeMutablePointer<Int64>
    ) -> BlockingCall {
        BlockingCall(.lseek, Int(descriptor), Int(offset), Int(from), Kernel.address(position))
    }

    /// getdents64(2). Completes with the bytes filled; 0 is the end of the directory.
    public static func directoryEntries(
        _ descriptor: Int32, buffer: UnsafeMutableRawPointer, count: Int
    ) -> BlockingCall {
        BlockingCall(.getdents64, Int(descriptor), Kernel.address(buffer), count)
    }

    /// copy_file_range(2). Completes with the bytes copied, which may be fewer than requested, and at most 2 GiB less a
    /// page. The offsets are advanced; nil is the descriptor's own position.
    public static func copyRange(
        from source: Int32, at sourceOffset: UnsafeMutablePointer<Int64>?, to target: Int32,
        at targetOffset: UnsafeMutablePointer<Int64>?, count: Int
    ) -> BlockingCall {
        BlockingCall(
            .copyFileRange, Int(source), Kernel.address(sourceOffset), Int(target), Kernel.address(targetOffset),
            Int32(clamping: min(count, Int(Int32.max) & ~4095)))
    }

    /// ioctl_ficlone(2): makes the target share all of the source's extents.
    public static func clone(from source: Int32, to target: Int32) -> BlockingCall {
        BlockingCall(.ioctl, Int(target), Int(CK_FICLONE), Int(source))
    }

    /// fcntl(2) with F_OFD_SETLK: acquires or releases a lock of the open file, without waiting. Completes with EAGAIN
    /// if a conflicting lock exists.
    public static func setLock(_ descriptor: Int32, _ range: UnsafePointer<ck_flock>) -> BlockingCall {
        BlockingCall(.fcntl, Int(descriptor), Int(CK_F_OFD_SETLK), Kernel.address(range))
    }
}
