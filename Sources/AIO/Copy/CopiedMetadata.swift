internal import AIOCore
internal import CKernel

/// Giving a copy what its source has besides content. On a worker's thread.
struct CopiedMetadata {
    let status: ck_statx
    let session: CopySession

    /// Owners before permissions: a change of owner takes set-user-ID away. Times last.
    func apply(to target: Int32, from source: Int32, _ path: Path) throws(IOError) {
        guard session.options.keepsMetadata else { return }
        let hasOwner = try changeOwner(path) { Kernel.fchownat(target, $0, $1, $2, CK_AT_EMPTY_PATH) }
        AttributeCopy(from: source, to: target).copyWhatCanBe()
        _ = try check(Kernel.fchmod(target, permissions(hasOwner)), "chmod", path)
        var times = times
        _ = try check(Kernel.utimensat(target, nil, &times, 0), "utimensat", path)
    }

    /// The same for what is not opened: a symbolic link, a FIFO, a device.
    func apply(toNameOf path: Path, from source: Path) throws(IOError) {
        guard session.options.keepsMetadata else { return }
        let hasOwner = try changeOwner(path) { empty, user, group in
            CopyCalls.at(path) { Kernel.fchownat($0, $1, user, group, CK_AT_SYMLINK_NOFOLLOW) }
        }
        source.withCString { from in
            path.withCString { AttributeCopy(fromPath: from, toPath: $0).copyWhatCanBe() }
        }
        if FileType(mode: status.mode) != .symbolicLink {
            _ = try check(CopyCalls.at(path) { Kernel.fchmodat($0, $1, permissions(hasOwner)) }, "chmod", path)
        }
        var times = times
        let result = CopyCalls.at(path) { Kernel.utimensat($0, $1, &times, CK_AT_SYMLINK_NOFOLLOW) }
        _ = try check(result, "utimensat", path)
    }

    /// Whether the copy has the owner of the source. That it may not be given one is no error, as with `cp -a`.
    private func changeOwner(
        _ path: Path, _ change: (UnsafePointer<CChar>, UInt32, UInt32) -> Int
    ) throws(IOError) -> Bool {
        var empty: CChar = 0
        let result = change(&empty, status.user, status.group)
        guard !session.isSuperUser || [-Int(EPERM), -Int(EINVAL), -Int(EOPNOTSUPP)].contains(result) else {
            _ = try check(result, "chown", path)
            return true
        }
        // One may give a file to another group that one is in.
        if result < 0 { _ = change(&empty, .max, status.group) }
        return result == 0
    }

    /// A program that would run as somebody else than its source does must not run as anybody else.
    private func permissions(_ hasOwner: Bool) -> UInt32 {
        UInt32(status.mode & 0o7777) & (hasOwner ? 0o7777 : 0o1777)
    }

    private var times: (ck_timespec, ck_timespec) {
        (Self.timespec(status.access_time), Self.timespec(status.modification_time))
    }

    private static func timespec(_ time: ck_statx_timestamp) -> ck_timespec {
        ck_timespec(seconds: time.seconds, nanoseconds: Int64(time.nanoseconds))
    }
}
