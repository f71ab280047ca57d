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
        /// What was asked for, without waiting.
        case found(Value)
        /// A negative errno that a call which may wait would return as well: nothing has the name.
        case failed(Int)
        /// The kernel would have had to wait, or may have to for a file of this kind.
        case wait
        /// Another error, which may come of the attempt's own flags. It says nothing about the caches: the call that
        /// may wait decides.
        case undecided
    }

    /// A file that was opened.
    public struct OpenedFile: BitwiseCopyable, Sendable {
        /// Belongs to the caller.
        public let descriptor: Descriptor
        /// In bytes, after the open.
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
        guard case .found(let file) = place else { return place.withoutValue() }
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
        guard case .found(let file) = place else { return place.withoutValue() }
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
            return switch -opened {
            case Int(EAGAIN): .wait
            case Int(ENOENT), Int(ENOTDIR): .failed(opened)
            default: .undecided
            }
        }
        let number = Int32(opened)
        guard statusOfOpened(number, mask | CK_STATX_MNT_ID_UNIQUE, &status) else {
            Kernel.close(number)
            return .undecided
        }
        let backing = Kernel.backing(number, status)
        guard backing != .remote else {
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
        guard opened >= 0 else { return opened == -Int(EAGAIN) ? .wait : .undecided }
        let number = Int32(opened)
        var status = ck_statx()
        let mask = CK_STATX_TYPE | CK_STATX_INO | CK_STATX_SIZE
        guard statusOfOpened(number, mask, &status),
            // The name may have got another file in between.
            FileIdentity(status) == FileIdentity(expected), status.mode & CK_S_IFMT == expected.mode & CK_S_IFMT,
            how.flags & CK_O_NONBLOCK != 0 || Kernel.setOpenFlags(number, Int(how.flags)) >= 0
        else {
            Kernel.close(number)
            return .undecided
        }
        let isRegular = status.mode & CK_S_IFMT == CK_S_IFREG
        let kind: Descriptor.Kind = !isRegular ? .other : how.flags & CK_O_DIRECT != 0 ? .direct : .buffered
        var descriptor = Descriptor(number, kind: kind)
        descriptor.backing = backing
        return .found(OpenedFile(descriptor: descriptor, size: status.size))
    }

    /// False if the kernel does not tell.
    private static func statusOfOpened(_ number: Int32, _ mask: UInt32, _ status: inout ck_statx) -> Bool {
        var empty: CChar = 0
        return Kernel.statx(number, &empty, CK_AT_EMPTY_PATH | CK_AT_STATX_DONT_SYNC, mask, &status) >= 0
    }
}

extension CachedLookup.Answer {
    /// The same answer about another value, where nothing was found.
    fileprivate func withoutValue<Other>() -> CachedLookup.Answer<Other> {
        switch self {
        case .failed(let errno): .failed(errno)
        case .wait: .wait
        case .found, .undecided: .undecided
        }
    }
}
