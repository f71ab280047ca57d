internal import AIOCore
internal import CKernel

/// System calls on names in an open directory, for workers. They follow no symbolic links and resolve no path that
/// others could redirect. They return the kernel's result.
enum CopyCalls {
    static func open(_ name: Path, in directory: OpenDirectory, _ flags: UInt64, permissions: UInt64 = 0) -> Int {
        // O_PATH permits few other flags.
        let common = flags & CK_O_PATH == 0 ? CK_O_CLOEXEC | CK_O_NOCTTY : CK_O_CLOEXEC
        var how = ck_open_how(flags: flags | common | CK_O_NOFOLLOW, mode: permissions, resolve: 0)
        return name.withCString { Kernel.openat2(directory.number, $0, &how) }
    }

    static func status(
        of name: Path, in directory: OpenDirectory, followLinks: Bool = false, _ status: inout ck_statx
    ) -> Int {
        name.withCString { Kernel.statx(directory.number, $0, statusFlags(followLinks), FileStatus.mask, &status) }
    }

    static func unlink(_ name: Path, in directory: OpenDirectory) -> Int {
        name.withCString { Kernel.unlinkat(directory.number, $0, 0) }
    }

    static func makeDirectory(_ name: Path, in directory: OpenDirectory, _ permissions: UInt32) -> Int {
        name.withCString { Kernel.mkdirat(directory.number, $0, permissions) }
    }

    /// renameat2(2) within one directory.
    static func rename(_ name: Path, to newName: Path, in directory: OpenDirectory, _ flags: UInt32) -> Int {
        name.withCString { name in
            newName.withCString { Kernel.renameat2(directory.number, name, directory.number, $0, flags) }
        }
    }

    static func link(_ name: Path, in directory: OpenDirectory, to newName: Path, in newDirectory: OpenDirectory) -> Int
    {
        name.withCString { name in
            newName.withCString { Kernel.linkat(directory.number, name, newDirectory.number, $0, 0) }
        }
    }

    // MARK: Names

    /// Sets the permissions of a name that is not a symbolic link. fchmodat2(2); before Linux 6.6 through /proc.
    static func changePermissions(of name: Path, in directory: OpenDirectory, _ permissions: UInt32) -> Int {
        let result = name.withCString {
            Kernel.fchmodat2(directory.number, $0, permissions, CK_AT_SYMLINK_NOFOLLOW)
        }
        // EPERM comes from filters that do not know the call.
        guard result == -Int(ENOSYS) || result == -Int(EPERM) else { return result }
        let opened = open(name, in: directory, CK_O_PATH)
        guard opened >= 0 else { return opened }
        defer { Kernel.close(Int32(opened)) }
        return OpenPermissions.set(permissions, Int32(opened))
    }

    /// A path through /proc to a name in the directory, which stays valid if the directory is renamed. The calls on
    /// extended attributes have no directory argument.
    static func attributePath(of name: Path, in directory: OpenDirectory) -> Path {
        Path("/proc/self/fd/\(directory.number)").appending(name)
    }

    // MARK: Paths given by the caller

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

    /// Calls `body` with a directory and a path relative to it.
    private static func at(_ path: Path, _ body: (Int32, UnsafePointer<CChar>) -> Int) -> Int {
        path.withCString { memory in
            let place = LongPath(memory, count: path.count)
            guard place.result == 0 else { return place.result }
            return body(place.directory, place.rest)
        }
    }
}

/// Whether a path leads to a file, by the result of its status. Throws an error that says nothing about that: a file
/// that is taken for missing may be the one that must not be replaced.
func isFound(_ result: Int, _ operation: String, _ path: @autoclosure () -> Path) throws(IOError) -> Bool {
    // Nothing is there, or can be: a symbolic link may lead to a name that no file can have. Or the caller may not look
    // there, and so cannot harm what is there.
    let absences = [ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG, EACCES]
    if absences.contains(Int32(truncatingIfNeeded: -result)) { return false }
    return try check(result, operation, path()) >= 0
}

/// Throws a negative result as an error about a path, which is only evaluated then, since building it may be expensive.
func check(_ result: Int, _ operation: String, _ path: @autoclosure () -> Path) throws(IOError) -> Int {
    guard result < 0 else { return result }
    throw IOError(result: Int32(truncatingIfNeeded: result), operation, path: path())
}
