internal import AIOCore
internal import CKernel

/// Status, permissions, owners and times.
extension SimulatedKernel {
    func status(_ call: SystemCall) throws(CallError) -> Int {
        guard let result = UnsafeMutablePointer<ck_statx>(bitPattern: call.e) else { throw CallError(EFAULT) }
        // STATX__RESERVED, and both of the AT_STATX_ flags at once.
        try require(call.d & 0x8000_0000 == 0 && call.c & 0x6000 != 0x6000, EINVAL)
        try require(call.c & ~0x7900 == 0, EINVAL)
        if call.c & Int(CK_AT_EMPTY_PATH) != 0, call.b == 0 ? true : try path(call.b).isEmpty,
            let description = descriptors[call.a]
        {
            return description.status(result)
        }
        fileSystem.fill(result, try file(call.a, call.b, flags: call.c).inode)
        return 0
    }

    func fileSystemStatus(path address: Int, _ result: Int) throws(CallError) -> Int {
        _ = try file(Int(CK_AT_FDCWD), address, flags: 0)
        return try fillFileSystemStatus(result)
    }

    func fileSystemStatus(_ descriptor: Int, _ result: Int) throws(CallError) -> Int {
        _ = try openFile(descriptor, evenPathOnly: true)
        return try fillFileSystemStatus(result)
    }

    private func fillFileSystemStatus(_ address: Int) throws(CallError) -> Int {
        guard let result = UnsafeMutablePointer<ck_statfs>(bitPattern: address) else { throw CallError(EFAULT) }
        fileSystem.fill(result)
        return 0
    }

    // MARK: Changes

    func changeMode(_ entry: DirectoryEntry, _ mode: Int) throws(CallError) -> Int {
        // Since 6.6 the kernel refuses to change the mode of a symbolic link.
        try require(entry.inode.type != CK_S_IFLNK, EOPNOTSUPP)
        change(entry) { $0.setPermissions(UInt16(mode & 0o7777)) }
        return 0
    }

    func changeOwner(_ entry: DirectoryEntry, _ user: Int, _ group: Int) -> Int {
        let (user, group) = (UInt32(truncatingIfNeeded: user), UInt32(truncatingIfNeeded: group))
        let mode = entry.inode.attributes.mode
        // The set-ID bits of programs are dropped, also by root (setattr_should_drop_sgid).
        var kept = mode
        if mode & CK_S_IFMT != CK_S_IFDIR {
            kept &= ~0o4000
            if mode & 0o10 != 0 { kept &= ~0o2000 }
        }
        // Without a change the kernel reports none.
        let event = user == .max && group == .max && kept == mode ? 0 : CK_IN_ATTRIB
        change(entry, event) { attributes in
            if user != .max { attributes.user = user }
            if group != .max { attributes.group = group }
            attributes.mode = kept
        }
        return 0
    }

    private func change(
        _ entry: DirectoryEntry, _ event: UInt32 = CK_IN_ATTRIB, _ change: (inout InodeAttributes) -> Void
    ) {
        _ = fileSystem.begin()
        fileSystem.change(entry.inode) { attributes in
            change(&attributes)
            attributes.changed = fileSystem.now
        }
        if event != 0 { fileSystem.notify(entry, event) }
    }

    /// utimensat(2).
    func setTimes(_ descriptor: Int, _ address: Int, _ timesAddress: Int, _ flags: Int) throws(CallError) -> Int {
        try require(flags & ~Int(CK_AT_SYMLINK_NOFOLLOW | CK_AT_EMPTY_PATH) == 0, EINVAL)
        let times = UnsafePointer<ck_timespec>(bitPattern: timesAddress)
        // Both times omitted: success without a look at the path.
        if let times, times[0].nanoseconds == CK_UTIME_OMIT, times[1].nanoseconds == CK_UTIME_OMIT { return 0 }
        let entry: DirectoryEntry
        if address == 0 {
            try require(Int32(truncatingIfNeeded: descriptor) != CK_AT_FDCWD, EFAULT)
            try require(flags & Int(CK_AT_SYMLINK_NOFOLLOW) == 0, EINVAL)
            entry = try openFile(descriptor).entry
        } else {
            entry = try file(descriptor, address, flags: flags)
        }
        let accessed = try newTime(times.map { $0[0] })
        let modified = try newTime(times.map { $0[1] })
        // fsnotify_change: one time alone looks like an access or a modification.
        let event = accessed == nil ? CK_IN_MODIFY : modified == nil ? CK_IN_ACCESS : CK_IN_ATTRIB
        change(entry, event) { attributes in
            if let accessed { attributes.accessed = accessed }
            if let modified { attributes.modified = modified }
        }
        return 0
    }

    /// The time to set; nil for none.
    private func newTime(_ time: ck_timespec?) throws(CallError) -> FileTime? {
        guard let time, time.nanoseconds != CK_UTIME_NOW else { return fileSystem.now }
        guard time.nanoseconds != CK_UTIME_OMIT else { return nil }
        try require(0..<1_000_000_000 ~= time.nanoseconds, EINVAL)
        return FileTime(seconds: time.seconds, nanoseconds: time.nanoseconds)
    }
}
