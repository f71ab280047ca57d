internal import AIOCore
internal import CKernel

/// System calls on a worker's thread, on names in a directory that is held open: no symbolic link is followed, and no
/// path is walked that others could bend. They return what the kernel does.
enum CopyCalls {
    static func open(_ name: Path, in folder: OpenDirectory, _ flags: UInt64, permissions: UInt64 = 0) -> Int {
        // O_PATH stands with few other flags.
        let common = flags & CK_O_PATH == 0 ? CK_O_CLOEXEC | CK_O_NOCTTY : CK_O_CLOEXEC
        var how = ck_open_how(flags: flags | common | CK_O_NOFOLLOW, mode: permissions, resolve: 0)
        return name.withCString { Kernel.openat2(folder.number, $0, &how) }
    }

    static func status(
        of name: Path, in folder: OpenDirectory, followLinks: Bool = false, _ status: inout ck_statx
    ) -> Int {
        name.withCString { Kernel.statx(folder.number, $0, statusFlags(followLinks), FileStatus.mask, &status) }
    }

    static func unlink(_ name: Path, in folder: OpenDirectory) -> Int {
        name.withCString { Kernel.unlinkat(folder.number, $0, 0) }
    }

    static func makeDirectory(_ name: Path, in folder: OpenDirectory, _ permissions: UInt32) -> Int {
        name.withCString { Kernel.mkdirat(folder.number, $0, permissions) }
    }

    /// renameat2(2), within a folder.
    static func rename(_ name: Path, to newName: Path, in folder: OpenDirectory, _ flags: UInt32) -> Int {
        name.withCString { name in
            newName.withCString { Kernel.renameat2(folder.number, name, folder.number, $0, flags) }
        }
    }

    static func link(_ name: Path, in folder: OpenDirectory, to newName: Path, in newFolder: OpenDirectory) -> Int {
        name.withCString { name in
            newName.withCString { Kernel.linkat(folder.number, name, newFolder.number, $0, 0) }
        }
    }

    // MARK: What has no descriptor of its own

    /// Permissions of a name, which is no symbolic link. fchmodat2(2); before Linux 6.6 by way of /proc.
    static func changePermissions(of name: Path, in folder: OpenDirectory, _ permissions: UInt32) -> Int {
        let result = name.withCString {
            Kernel.fchmodat2(folder.number, $0, permissions, CK_AT_SYMLINK_NOFOLLOW)
        }
        guard isUnknown(result) else { return result }
        let opened = open(name, in: folder, CK_O_PATH)
        guard opened >= 0 else { return opened }
        defer { Kernel.close(Int32(opened)) }
        return changePermissions(ofOpen: Int32(opened), permissions)
    }

    /// The same of a descriptor that is for names alone (O_PATH).
    static func changePermissions(ofOpen descriptor: Int32, _ permissions: UInt32) -> Int {
        let result = "".withCString { Kernel.fchmodat2(descriptor, $0, permissions, CK_AT_EMPTY_PATH) }
        guard isUnknown(result) else { return result }
        return "/proc/self/fd/\(descriptor)".withCString { Kernel.fchmodat(CK_AT_FDCWD, $0, permissions) }
    }

    /// Older kernels do not know the call, and filters that do not either say EPERM.
    private static func isUnknown(_ result: Int) -> Bool { result == -Int(ENOSYS) || result == -Int(EPERM) }

    /// A path that leads to the name in the folder, whatever the folder's own name is by now: the calls on extended
    /// attributes take nothing else.
    static func attributePath(of name: Path, in folder: OpenDirectory) -> Path {
        Path("/proc/self/fd/\(folder.number)").appending(name)
    }

    // MARK: By the paths that the caller gave

    static func open(_ path: Path, _ flags: UInt64) -> Int {
        at(path) { directory, name in
            var how = ck_open_how(flags: flags | CK_O_CLOEXEC, mode: 0, resolve: 0)
            return Kernel.openat2(directory, name, &how)
        }
    }

    static func status(of path: Path, followLinks: Bool, _ status: inout ck_statx) -> Int {
        at(path) { Kernel.statx($0, $1, statusFlags(followLinks), FileStatus.mask, &status) }
    }

    private static func statusFlags(_ followLinks: Bool) -> Int32 {
        CK_AT_NO_AUTOMOUNT | (followLinks ? 0 : CK_AT_SYMLINK_NOFOLLOW)
    }

    /// Runs `body` with a directory and the name in it.
    private static func at(_ path: Path, _ body: (Int32, UnsafePointer<CChar>) -> Int) -> Int {
        path.withCString { memory in
            let place = LongPath(memory, count: path.count)
            guard place.result == 0 else { return place.result }
            return body(place.directory, place.rest)
        }
    }
}

/// A negative result as an error about a path, which may be dear to put together.
func check(_ result: Int, _ operation: String, _ path: @autoclosure () -> Path) throws(IOError) -> Int {
    guard result < 0 else { return result }
    throw IOError(result: Int32(truncatingIfNeeded: result), operation, path: path())
}
