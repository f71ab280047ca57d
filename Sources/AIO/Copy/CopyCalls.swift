internal import AIOCore
internal import CKernel

/// System calls on paths of any length, on a worker's thread. They return what the kernel does.
enum CopyCalls {
    static func open(_ path: Path, _ flags: UInt64, permissions: UInt64 = 0) -> Int {
        at(path) { directory, name in
            // O_PATH stands with few other flags.
            let common = flags & CK_O_PATH == 0 ? CK_O_CLOEXEC | CK_O_NOCTTY : CK_O_CLOEXEC
            var how = ck_open_how(flags: flags | common, mode: permissions, resolve: 0)
            return Kernel.openat2(directory, name, &how)
        }
    }

    static func status(of path: Path, followLinks: Bool, _ status: inout ck_statx) -> Int {
        at(path) { directory, name in
            Kernel.statx(
                directory, name, CK_AT_NO_AUTOMOUNT | (followLinks ? 0 : CK_AT_SYMLINK_NOFOLLOW), FileStatus.mask,
                &status)
        }
    }

    static func unlink(_ path: Path) -> Int { at(path) { Kernel.unlinkat($0, $1, 0) } }

    static func makeDirectory(_ path: Path, _ permissions: UInt32) -> Int {
        at(path) { Kernel.mkdirat($0, $1, permissions) }
    }

    static func rename(_ path: Path, to newPath: Path, replaces: Bool) -> Int {
        at(path) { directory, name in
            at(newPath) { Kernel.renameat2(directory, name, $0, $1, replaces ? 0 : CK_RENAME_NOREPLACE) }
        }
    }

    static func link(_ path: Path, to newPath: Path) -> Int {
        at(path) { directory, name in at(newPath) { Kernel.linkat(directory, name, $0, $1, 0) } }
    }

    /// Runs `body` with a directory and the name in it.
    static func at(_ path: Path, _ body: (Int32, UnsafePointer<CChar>) -> Int) -> Int {
        path.withCString { memory in
            let place = LongPath(memory, count: path.count)
            guard place.result == 0 else { return place.result }
            return body(place.directory, place.rest)
        }
    }
}

/// A negative result as an error about a path.
func check(_ result: Int, _ operation: String, _ path: Path) throws(IOError) -> Int {
    guard result < 0 else { return result }
    throw IOError(result: Int32(truncatingIfNeeded: result), operation, path: path)
}
