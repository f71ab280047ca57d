public import CKernel

/// Lookups of a path that need not wait: every component is in the dentry cache (RESOLVE_CACHED, since 5.12), and what
/// the path names is on a file system that asks no server.
///
/// The first lookup opens the path with O_PATH. This has no effect on what it names, so the kind of file and of file
/// system is known before anything could block: the open of a FIFO waits for its other end, that of a device for its
/// driver, that on FUSE for a process.
public enum CachedLookup {
    /// The outcome of an attempt.
    public enum Answer<Value> {
        case found(Value)
        /// A negative errno that a call which may wait would return as well: nothing has the name.
        case failed(Int)
        /// The path has to be looked up where that may block.
        case wait
    }

    /// A file that was opened.
    public struct OpenedFile: BitwiseCopyable, Sendable {
        public let descriptor: Descriptor
        public let size: UInt64
    }

    /// Opens a regular file or a directory for reading. Everything else, and a file on which another process holds a
    /// lease, has to wait.
    ///
    /// Calls: openat2(2) with O_PATH, statx(2), the same without O_PATH, fcntl(2) unless O_NONBLOCK is wanted, and
    /// close(2).
    public static func open(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ how: ck_open_how
    ) -> Answer<OpenedFile> {
        let sparing = CK_O_CREAT | CK_O_TMPFILE | CK_O_TRUNC | CK_O_PATH | CK_O_ACCMODE
        // CK_O_RDONLY is 0.
        guard how.flags & sparing == 0 else { return .wait }
        var status = ck_statx()
        let place = lookUp(directory, path, how, mask: CK_STATX_TYPE | CK_STATX_INO | CK_STATX_SIZE, &status)
        guard case .found(let file) = place else { return place.failure() }
        defer { Kernel.close(file.number) }
        switch status.mode & CK_S_IFMT {
        case CK_S_IFREG, CK_S_IFDIR: break
        default: return .wait
        }
        return reopen(directory, path, how, status, file.backing)
    }

    /// statx(2) of a path, of whatever kind of file. `result` is complete after `found`.
    public static func status(
        _ directory: Int32, _ path: UnsafePointer<CChar>, followLinks: Bool, mask: UInt32, _ result: inout ck_statx
    ) -> Answer<Void> {
        let how = ck_open_how(flags: followLinks ? 0 : CK_O_NOFOLLOW, mode: 0, resolve: 0)
        let place = lookUp(directory, path, how, mask: mask, &result)
        guard case .found(let file) = place else { return place.failure() }
        Kernel.close(file.number)
        return .found(())
    }

    // MARK: Steps

    /// What a path names, open with O_PATH.
    private struct Place {
        let number: Int32
        let backing: Descriptor.Backing
    }

    private static func lookUp(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ how: ck_open_how, mask: UInt32, _ status: inout ck_statx
    ) -> Answer<Place> {
        var lookup = ck_open_how(
            flags: CK_O_PATH | CK_O_CLOEXEC | how.flags & (CK_O_DIRECTORY | CK_O_NOFOLLOW), mode: 0,
            resolve: how.resolve | CK_RESOLVE_CACHED)
        let opened = Kernel.openat2(directory, path, &lookup)
        guard opened >= 0 else {
            // Other errors may come of the flags, and are left to the call that knows none of them.
            return opened == -Int(ENOENT) || opened == -Int(ENOTDIR) ? .failed(opened) : .wait
        }
        let number = Int32(opened)
        var empty: CChar = 0
        let flags = CK_AT_EMPTY_PATH | CK_AT_STATX_DONT_SYNC
        let backing: Descriptor.Backing? =
            if Kernel.statx(number, &empty, flags, mask | CK_STATX_MNT_ID_UNIQUE, &status) >= 0 {
                Kernel.backing(number, status)
            } else { nil }
        guard let backing, backing != .remote else {
            Kernel.close(number)
            return .wait
        }
        return .found(Place(number: number, backing: backing))
    }

    /// Opens the path once more, for reading. `expected` is what the first lookup found.
    private static func reopen(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ how: ck_open_how, _ expected: ck_statx,
        _ backing: Descriptor.Backing
    ) -> Answer<OpenedFile> {
        var open = how
        open.flags |= CK_O_NONBLOCK | CK_O_CLOEXEC
        open.resolve |= CK_RESOLVE_CACHED
        let opened = Kernel.openat2(directory, path, &open)
        guard opened >= 0 else { return .wait }
        let number = Int32(opened)
        var status = ck_statx()
        var empty: CChar = 0
        let flags = CK_AT_EMPTY_PATH | CK_AT_STATX_DONT_SYNC
        let mask = CK_STATX_TYPE | CK_STATX_INO | CK_STATX_SIZE
        guard Kernel.statx(number, &empty, flags, mask, &status) >= 0,
            // The name may have got another file in between.
            FileIdentity(status) == FileIdentity(expected), status.mode & CK_S_IFMT == expected.mode & CK_S_IFMT,
            how.flags & CK_O_NONBLOCK != 0 || Kernel.setOpenFlags(number, Int(how.flags)) >= 0
        else {
            Kernel.close(number)
            return .wait
        }
        let isRegular = status.mode & CK_S_IFMT == CK_S_IFREG
        let kind: Descriptor.Kind = !isRegular ? .other : how.flags & CK_O_DIRECT != 0 ? .direct : .buffered
        var descriptor = Descriptor(number, kind: kind)
        descriptor.backing = backing
        return .found(OpenedFile(descriptor: descriptor, size: status.size))
    }
}

extension CachedLookup.Answer {
    /// The same answer about another value; `wait` in place of `found`.
    fileprivate func failure<Other>() -> CachedLookup.Answer<Other> {
        if case .failed(let errno) = self { .failed(errno) } else { .wait }
    }
}
