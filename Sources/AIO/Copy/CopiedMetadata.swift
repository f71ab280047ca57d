internal import AIOCore
internal import CKernel

/// Gives a copy its source's metadata. On a worker's thread.
struct CopiedMetadata {
    let status: ck_statx
    let session: CopySession
    /// Whether the copy may have access control lists inherited from its directory.
    let mayInherit: Bool

    /// Owners before permissions, since a change of owner clears set-user-ID. Times last. Without a `source`, one that
    /// could not be opened, everything but the attributes.
    func apply(to target: Int32, from source: Int32?, _ path: @autoclosure () -> Path) throws(IOError) {
        guard session.options.keepsMetadata else { return }
        let hasOwner = try changeOwner(path()) { Kernel.fchownat(target, $0, $1, $2, CK_AT_EMPTY_PATH) }
        var group: UInt32?
        if let source { group = try copyAttributes(AttributeCopy(from: source, to: target), path()) }
        _ = try check(Kernel.fchmod(target, permissions(hasOwner, group)), "chmod", path())
        var times = times
        _ = try check(Kernel.utimensat(target, nil, &times, 0), "utimensat", path())
    }

    /// The same for files that are not opened: symbolic links, FIFOs, devices.
    func apply(to name: PendingName, from source: CopyOrigin) throws(IOError) {
        guard session.options.keepsMetadata else { return }
        let (pending, directory) = (name.pending, name.directory)
        let hasOwner = try changeOwner(name.place.path) { _, user, group in
            pending.withCString { Kernel.fchownat(directory.number, $0, user, group, CK_AT_SYMLINK_NOFOLLOW) }
        }
        let from = CopyCalls.attributePath(of: source.place.name, in: source.directory)
        let to = CopyCalls.attributePath(of: pending, in: directory)
        let isLink = FileType(mode: status.mode) == .symbolicLink
        var group: UInt32?
        try from.withCString { from throws(IOError) in
            try to.withCString { to throws(IOError) in
                group = try copyAttributes(AttributeCopy(fromPath: from, toPath: to), name.place.path)
            }
        }
        if !isLink {
            let result = CopyCalls.changePermissions(of: pending, in: directory, permissions(hasOwner, group))
            _ = try check(result, "chmod", name.place.path)
        }
        var times = times
        let result = pending.withCString {
            Kernel.utimensat(directory.number, $0, &times, CK_AT_SYMLINK_NOFOLLOW)
        }
        _ = try check(result, "utimensat", name.place.path)
    }

    /// Copies attributes, and removes access control lists that the source does not have, since they could grant access
    /// to users who may not read the source. Returns the group's permissions, if the source has a list that cannot be
    /// set on the copy.
    private func copyAttributes(
        _ attributes: AttributeCopy, _ path: @autoclosure () -> Path
    ) throws(IOError) -> UInt32? {
        let lists = attributes.copyWhatCanBe()
        _ = try check(lists.result, "setxattr", path())
        let type = FileType(mode: status.mode)
        guard mayInherit, type != .symbolicLink else { return refusedGroup(lists.refused, attributes) }
        // Only directories have a default list.
        let isDirectory = type == .directory
        for name in isDirectory ? AttributeCopy.lists : [AttributeCopy.accessList] where !lists.copied.contains(name) {
            let result = attributes.remove(name)
            if AttributeCopy.isWithout(result) { continue }
            // Files that are not opened are reached through /proc, which a chroot may lack.
            if result == -Int(ENOENT), type != .regular, !isDirectory { continue }
            _ = try check(result, "removexattr", path())
        }
        return refusedGroup(lists.refused, attributes)
    }

    private func refusedGroup(_ refused: [String], _ attributes: AttributeCopy) -> UInt32? {
        refused.contains(AttributeCopy.accessList) ? attributes.groupPermissions() : nil
    }

    /// Returns whether the copy has the owner of its source. As in `cp -a`, it is no error if the owner may not be set.
    private func changeOwner(
        _ path: @autoclosure () -> Path, _ change: (UnsafePointer<CChar>, UInt32, UInt32) -> Int
    ) throws(IOError) -> Bool {
        var empty: CChar = 0
        let result = change(&empty, status.user, status.group)
        guard !session.isSuperUser || [-Int(EPERM), -Int(EINVAL), -Int(EOPNOTSUPP)].contains(result) else {
            _ = try check(result, "chown", path())
            return true
        }
        // A user may give a file to another group that they belong to.
        if result < 0 { _ = change(&empty, .max, status.group) }
        return result == 0
    }

    /// Drops set-user-ID and set-group-ID unless the copy has the owner of its source, since the program would run with
    /// other privileges.
    ///
    /// With an access control list the group bits are the mask. If the list cannot be kept, they are reduced to the
    /// group's permissions in the list.
    private func permissions(_ hasOwner: Bool, _ group: UInt32?) -> UInt32 {
        let mode = UInt32(status.mode & 0o7777) & (hasOwner ? 0o7777 : 0o1777)
        return group.map { mode & (~0o070 | $0 << 3) } ?? mode
    }

    private var times: (ck_timespec, ck_timespec) {
        (Self.timespec(status.access_time), Self.timespec(status.modification_time))
    }

    private static func timespec(_ time: ck_statx_timestamp) -> ck_timespec {
        ck_timespec(seconds: time.seconds, nanoseconds: Int64(time.nanoseconds))
    }
}
