internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Removes a directory and everything in it, or a file, or a symbolic link itself.
    ///
    /// Symbolic links are never followed, neither `path` itself nor any link below it: each entry is removed by its
    /// name in an open directory, which holds even while other processes rename and replace entries. Mount points below
    /// `path` are not entered and fail with `EXDEV` (``IOError/errno``). The number of descriptors in use is bounded at
    /// any depth.
    ///
    /// One operation on a worker. It stops at the first error, which names the entry. What was removed before an error,
    /// a cancellation or a deadline stays removed. Entries that others remove meanwhile are not an error. Kernel calls:
    /// openat2(2), getdents64(2), unlinkat(2).
    ///
    /// - Throws: ``IOError/Code/notFound`` if `path` does not exist; otherwise the error of a kernel call,
    ///   ``IOError/Code/cancelled`` or ``IOError/Code/deadlineExceeded``.
    public static func removeRecursively(
        _ path: Path, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        let removal = try TreeRemoval(path, deadline)
        do throws(IOError) {
            _ = try await runtime.perform(removal, "remove", path, deadline)
        } catch {
            var error = error
            if let entry = removal.failedEntry { error.path = entry }
            throw error
        }
    }

    /// The same as a release: neither a cancellation nor a shutdown stops it. For temporary files and directories.
    static func removeToTheEnd(_ path: Path, _ runtime: IORuntime) async throws(IOError) {
        let removal = try TreeRemoval(path, .never, isRelease: true)
        let result = await runtime.performToTheEnd(removal, "remove").result
        guard result >= 0 else { throw IOError(result: result, "remove", path: removal.failedEntry ?? path) }
    }
}

/// Removes a tree, depth first.
private final class TreeRemoval: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let root: UnsafeMutablePointer<CChar>
    private let path: Path
    /// The directories from the root to the current one.
    private var levels: [DirectoryLevel] = []
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 32768, alignment: 8)
    /// The entry that could not be removed.
    private(set) var failedEntry: Path?

    /// The number of levels whose directories stay open. Levels further up are closed, and opened again through `..` on
    /// the way back. Few trees are deeper, and no process is short of 16 descriptors.
    private static var openLevels: Int { 16 }

    init(_ path: Path, _ deadline: Deadline, isRelease: Bool = false) throws(IOError) {
        // With a trailing slash the kernel would follow a symbolic link.
        let slash = UInt8(ascii: "/")
        let bytes = Array(path.bytes.reversed().drop { $0 == slash }.reversed())
        let name = bytes.reversed().prefix { $0 != slash }
        // The kernel refuses to remove `.`, `..` and the root, but only after they would have been emptied.
        guard name.count > 2 || !name.allSatisfy({ $0 == UInt8(ascii: ".") }) else {
            throw IOError(.invalidArgument, "remove", path: path, advice: "the path does not end with a name")
        }
        self.path = Path(bytes: bytes)
        root = try self.path.copyCString(for: "remove")
        super.init(deadline: deadline.nanoseconds, isRelease: isRelease)
    }

    deinit {
        root.deallocate()
        buffer.deallocate()
    }

    override func run() -> Int {
        defer { for level in levels where level.descriptor >= 0 { Kernel.close(level.descriptor) } }
        let result = Kernel.unlinkat(CK_AT_FDCWD, root, 0)
        guard result == -Int(EISDIR) else { return result }
        let entered = enter(CK_AT_FDCWD, root, "")
        guard entered == 0 else { return entered }
        while let level = levels.last {
            guard !shouldEnd else { return -Int(ECANCELED) }
            let result = level.pending.isEmpty ? readOrLeave() : removeDirectory()
            guard result >= 0 else { return result }
        }
        return 0
    }

    // MARK: Down

    /// Opens a directory and pushes it as the last level.
    private func enter(_ directory: Int32, _ place: UnsafePointer<CChar>, _ name: Path) -> Int {
        var how = ck_open_how(
            flags: CK_O_RDONLY | CK_O_DIRECTORY | CK_O_NOFOLLOW | CK_O_CLOEXEC, mode: 0,
            // The caller's path may cross mount points; a name below it may not.
            resolve: levels.isEmpty ? 0 : CK_RESOLVE_NO_XDEV)
        var result = Kernel.openat2(directory, place, &how)
        // When descriptors run out, close the uppermost levels; they are opened again on the way back.
        while result == -Int(EMFILE) || result == -Int(ENFILE), releaseUppermost() {
            result = Kernel.openat2(directory, place, &how)
        }
        guard result >= 0 else { return result }
        var errno: Int32 = 0
        guard let file = FileIdentity(ofDescriptor: Int32(result), errno: &errno) else {
            Kernel.close(Int32(result))
            return -Int(errno)
        }
        levels.append(DirectoryLevel(descriptor: Int32(result), name: name, file: file))
        let farthest = levels.count - 1 - Self.openLevels
        if farthest >= 0, levels[farthest].descriptor >= 0 {
            Kernel.close(levels[farthest].descriptor)
            levels[farthest].descriptor = -1
        }
        return 0
    }

    /// Closes the uppermost open directory other than the last level's. Returns false if there is none.
    private func releaseUppermost() -> Bool {
        guard let index = levels.dropLast().firstIndex(where: { $0.descriptor >= 0 }) else { return false }
        Kernel.close(levels[index].descriptor)
        levels[index].descriptor = -1
        return true
    }

    /// Enters the next pending directory of the last level.
    private func removeDirectory() -> Int {
        let last = levels.count - 1
        let name = levels[last].pending.removeLast()
        let result = name.withCString { enter(levels[last].descriptor, $0, name) }
        switch result {
        case -Int(ENOENT): return 0
        case -Int(ENOTDIR), -Int(ELOOP): return unlink(name)
        default: return result < 0 ? fail(result, name) : 0
        }
    }

    // MARK: In a directory

    /// Removes the next entries of the directory and records subdirectories as pending; leaves the directory at its
    /// end.
    private func readOrLeave() -> Int {
        let last = levels.count - 1
        let count = Kernel.getdents64(levels[last].descriptor, buffer.baseAddress!, buffer.count)
        // ENOENT: the directory has been removed already.
        guard count > 0 else { return count == 0 || count == -Int(ENOENT) ? leave() : fail(count, nil) }
        for entry in DirectoryRecords(UnsafeRawBufferPointer(rebasing: buffer[..<count])) {
            guard !shouldEnd else { return -Int(ECANCELED) }
            if entry.type == CK_DT_DIR {
                levels[last].pending.append(entry.name)
                continue
            }
            let result = unlink(entry.name)
            guard result >= 0 else { return result }
        }
        return 0
    }

    /// Removes an entry that is not a directory; an entry that turns out to be one becomes pending.
    private func unlink(_ name: Path) -> Int {
        let last = levels.count - 1
        switch name.withCString({ Kernel.unlinkat(levels[last].descriptor, $0, 0) }) {
        case 0: levels[last].hasRemoved = true
        case -Int(ENOENT): break
        case -Int(EISDIR): levels[last].pending.append(name)
        case let result: return fail(result, name)
        }
        return 0
    }

    // MARK: Up

    /// Removes the last level's directory, which has been read to its end, and returns to its parent.
    private func leave() -> Int {
        let above = aboveLast()
        guard above >= 0 || above == Int(CK_AT_FDCWD) else { return fail(above, nil) }
        let level = levels[levels.count - 1]
        let result =
            levels.count == 1
            ? Kernel.unlinkat(CK_AT_FDCWD, root, CK_AT_REMOVEDIR)
            : level.name.withCString { Kernel.unlinkat(Int32(above), $0, CK_AT_REMOVEDIR) }
        if result == -Int(ENOTEMPTY) || result == -Int(EEXIST), level.hasRemoved {
            // getdents64(2) may skip entries while others are removed, or new entries have been created: read again.
            levels[levels.count - 1].hasRemoved = false
            return min(Kernel.lseek(level.descriptor, 0, CK_SEEK_SET), 0)
        }
        guard result == 0 || result == -Int(ENOENT) else { return fail(result, nil) }
        Kernel.close(level.descriptor)
        levels.removeLast()
        if !levels.isEmpty { levels[levels.count - 1].hasRemoved = true }
        return 0
    }

    /// The parent directory of the last level: still open, or opened again.
    private func aboveLast() -> Int {
        guard levels.count > 1 else { return Int(CK_AT_FDCWD) }
        let above = levels.count - 2
        guard levels[above].descriptor < 0 else { return Int(levels[above].descriptor) }
        var how = ck_open_how(flags: CK_O_RDONLY | CK_O_DIRECTORY | CK_O_CLOEXEC, mode: 0, resolve: 0)
        let result = "..".withCString { Kernel.openat2(levels[above + 1].descriptor, $0, &how) }
        guard result >= 0 else { return result }
        var errno = ESTALE
        let file = FileIdentity(ofDescriptor: Int32(result), errno: &errno)
        guard file == levels[above].file else {
            // The directory was moved elsewhere, and nothing may be removed from its new parent.
            Kernel.close(Int32(result))
            return -Int(errno)
        }
        levels[above].descriptor = Int32(result)
        return result
    }

    /// Records the entry that failed: an entry of the last level, or the last level itself.
    private func fail(_ result: Int, _ name: Path?) -> Int {
        let names = levels.dropFirst().map(\.name) + (name.map { [$0] } ?? [])
        failedEntry = names.reduce(into: path) { $0.append($1) }
        return result
    }
}

/// A directory between the root and the current one.
private struct DirectoryLevel {
    /// -1 while the directory is not open.
    var descriptor: Int32
    /// The name in the parent directory; empty for the root.
    let name: Path
    /// Identifies the directory when it is opened again.
    let file: FileIdentity
    /// Subdirectories that are still to be removed.
    var pending: [Path] = []
    /// Whether an entry was removed since the directory was last read from the beginning.
    var hasRemoved = false
}
