internal import AIOCore
internal import CKernel

/// A replacement in progress: the temporary file and the directory. Each step runs on a worker's thread.
final class Replacement: @unchecked Sendable {
    // @unchecked: the steps run one after the other, and each waits for the one before.

    /// The path as the caller gave it.
    let path: Path
    private let origin: PathOrigin
    private let durability: Durability
    private let permissions: UInt16
    private let followsLinks: Bool

    /// Open from `begin` until the file has its name or is removed, so that a rename of the directory has no effect.
    private var directory: Int32 = -1
    private var name: Path
    /// The name of the temporary file; empty if there is none.
    private var temporaryName: Path = ""
    /// Whether the path leads to a kind of file that cannot be replaced.
    private(set) var isRefused = false

    init(
        _ path: Path, _ origin: PathOrigin, _ durability: Durability, _ permissions: UInt16, followLinks: Bool
    ) throws(IOError) {
        name = try PlacedName(path, for: "replace").name
        guard path.bytes.last != UInt8(ascii: "/") else {
            throw IOError(.isDirectory, "replace", path: path, advice: "the path ends with a slash")
        }
        self.path = path
        self.origin = origin
        self.durability = durability
        self.permissions = permissions & 0o7777
        followsLinks = followLinks
    }

    /// Whether there is something to discard.
    var isPending: Bool { directory >= 0 }

    // MARK: Steps

    /// Opens the directory, and creates the temporary file with the attributes kept from the replaced file. Returns its
    /// descriptor or a negative errno. After an error, `discard` cleans up.
    func begin() -> Int {
        let opened = openDirectory()
        guard opened >= 0 else { return opened }
        directory = Int32(opened)
        var status = ck_statx()
        let found = name.withCString {
            Kernel.statx(directory, $0, CK_AT_SYMLINK_NOFOLLOW, CK_STATX_BASIC_STATS, &status)
        }
        guard found == 0 || found == -Int(ENOENT) else { return found }
        // If a symbolic link itself is replaced, it has nothing to keep.
        let keeps = found == 0 && status.mode & CK_S_IFMT != CK_S_IFLNK
        guard !keeps || status.mode & CK_S_IFMT == CK_S_IFREG else {
            if status.mode & CK_S_IFMT == CK_S_IFDIR { return -Int(EISDIR) }
            isRefused = true
            return -Int(EINVAL)
        }
        // Nobody else may read it before it has the permissions of the replaced file.
        let descriptor = makeTemporary(permissions: keeps ? 0o600 : permissions)
        guard descriptor >= 0, keeps else { return descriptor }
        let kept = keepAttributes(status, Int32(descriptor))
        guard kept == 0 else {
            Kernel.close(Int32(descriptor))
            return kept
        }
        return descriptor
    }

    /// Syncs the temporary file as `durability` requires.
    func sync(_ descriptor: Int32) -> Int {
        switch durability.syncLevel {
        case .full: Kernel.fsync(descriptor)
        case .data: Kernel.fdatasync(descriptor)
        case nil: 0
        }
    }

    /// Renames the temporary file to its final name. There is nothing to discard afterwards.
    func commit() -> Int {
        let renamed = temporaryName.withCString { temporary in
            name.withCString { Kernel.renameat2(directory, temporary, directory, $0, 0) }
        }
        guard renamed == 0 else { return renamed }
        temporaryName = ""
        defer { discard() }
        guard durability == .full else { return 0 }
        let synced = Kernel.fsync(directory)
        // Some file systems do not support fsync(2) on directories and fail with EINVAL.
        return synced == -Int(EINVAL) ? 0 : synced
    }

    /// Removes the temporary file unless it has its final name, and closes the directory. Idempotent.
    func discard() {
        if !temporaryName.bytes.isEmpty { _ = temporaryName.withCString { Kernel.unlinkat(directory, $0, 0) } }
        temporaryName = ""
        if directory >= 0 { Kernel.close(directory) }
        directory = -1
    }

    // MARK: Path resolution

    /// Follows the symbolic links at the end of the path, and opens the directory that contains the file.
    private func openDirectory() -> Int {
        var path = path
        for _ in 0..<40 {
            var target: Path?
            if followsLinks {
                let read = readLink(path, &target)
                guard read >= 0 else { return read }
            }
            guard let target else {
                guard let placed = PlacedName(path) else { return -Int(EISDIR) }
                name = placed.name
                // fsync(2) does not work on an O_PATH descriptor.
                return placed.openDirectory(from: origin, durability == .full ? CK_O_RDONLY : CK_O_PATH)
            }
            path = target
        }
        return -Int(ELOOP)
    }

    /// Finds the path that a symbolic link at the end of `path` leads to; nil if the path does not end with one.
    /// Returns a negative errno if the kernel does not tell: the link itself would be replaced otherwise.
    private func readLink(_ path: Path, _ target: inout Path?) -> Int {
        let slash = UInt8(ascii: "/")
        var result = 0
        // A symbolic link of a file system has at most 4095 bytes.
        let text = [UInt8](unsafeUninitializedCapacity: 4096) { memory, count in
            result = path.withCString { Kernel.readlinkat(origin.directory, $0, memory.baseAddress!, 4096) }
            count = max(0, result)
        }
        // It is no link, it does not exist, or its directory is none, which is found when that is opened.
        if result == -Int(EINVAL) || result == -Int(ENOENT) || result == -Int(ENOTDIR) { return 0 }
        guard let first = text.first else { return result }
        let directory = first == slash ? [] : path.bytes.reversed().drop { $0 != slash }.reversed()
        target = Path(bytes: directory + text)
        return 0
    }

    private func makeTemporary(permissions: UInt16) -> Int {
        let beside = PathOrigin(directory: directory, resolve: 0)
        let flags = CK_O_RDWR | CK_O_CREAT | CK_O_EXCL | CK_O_NOFOLLOW
        var result = -Int(EEXIST)
        // A name has 64 random bits; the limit is for a file system that answers so for every name.
        for _ in 0..<64 where result == -Int(EEXIST) {
            temporaryName = .temporaryName(".aio-replace-")
            result = temporaryName.withCString { beside.open($0, flags, permissions: permissions) }
        }
        // The file, if there is one, belongs to another process.
        if result < 0 { temporaryName = "" }
        return result
    }

    // MARK: Attributes

    /// Gives the temporary file the attributes kept from the replaced file, as documented at `FileSystem.replaceFile`.
    private func keepAttributes(_ old: ck_statx, _ descriptor: Int32) -> Int {
        var own = ck_statx()
        let found = Kernel.status(descriptor, CK_STATX_BASIC_STATS, &own)
        guard found == 0 else { return found }
        let owned = keepOwner(old, own, descriptor)
        guard owned >= 0 else { return owned }
        let keepsGroup = owned > 0
        let source = name.withCString {
            WholeFile.open($0, CK_O_RDONLY | CK_O_NOFOLLOW, 0, from: PathOrigin(directory: directory, resolve: 0))
        }
        // Not permitted, or gone meanwhile. With any other error, attributes that must be kept would be lost.
        let isUnreadable = source == -Int(EACCES) || source == -Int(EPERM) || source == -Int(ENOENT)
        guard source >= 0 || isUnreadable else { return source }
        defer { if source >= 0 { Kernel.close(Int32(source)) } }
        if source >= 0 {
            // Before the mode changes: setting these attributes requires write permission of an unprivileged caller.
            let copied = AttributeCopy(from: Int32(source), to: descriptor).copyOfUser()
            guard copied == 0 else { return copied }
        }
        // With an access control list, the mode's group bits are the list's mask, not the group's permissions.
        let knowsGroup = keepsGroup && source >= 0
        if knowsGroup {
            // The list includes the permissions, so nobody has more permissions in between.
            let listed = AttributeCopy(from: Int32(source), to: descriptor).copyAccessList()
            guard listed == 0 else { return min(listed, 0) }
        }
        // A default list that the file inherited from the directory may grant access to others.
        let removed = AttributeCopy.accessList.withCString { Kernel.fremovexattr(descriptor, $0) }
        guard removed >= 0 || AttributeCopy.isWithout(removed) else { return removed }
        let mode = UInt32(old.mode & 0o1777)
        return Kernel.fchmod(descriptor, knowsGroup ? mode : Self.withoutGroup(mode))
    }

    /// Sets owner and group as far as the caller may. Returns 1 if the file has the old group, 0 if not, or a negative
    /// errno.
    private func keepOwner(_ old: ck_statx, _ own: ck_statx, _ descriptor: Int32) -> Int {
        // EINVAL: the owner has no number in the user namespace.
        let refusals = [-Int(EPERM), -Int(EINVAL), -Int(EOPNOTSUPP)]
        if own.user == old.user, own.group == old.group { return 1 }
        let changed = Kernel.fchown(descriptor, old.user, old.group)
        guard changed != 0 else { return 1 }
        guard refusals.contains(changed) else { return changed }
        if own.group == old.group { return 1 }
        let changedGroup = Kernel.fchown(descriptor, .max, old.group)
        guard changedGroup == 0 || refusals.contains(changedGroup) else { return changedGroup }
        return changedGroup == 0 ? 1 : 0
    }

    /// Limits the group's permissions to those of others.
    private static func withoutGroup(_ mode: UInt32) -> UInt32 { mode & ~0o070 | (mode & 0o007) << 3 & mode }
}
