internal import AIOCore
internal import CKernel

/// A file beside another, on its way to take its place. Each step is made on a worker's thread.
final class Replacement: @unchecked Sendable {
    // @unchecked: one hand-over after the other has it, each of which the next waits for.

    /// As the caller named it.
    let path: Path
    private let origin: PathOrigin
    private let durability: Durability
    private let permissions: UInt16
    private let followsLinks: Bool

    /// Held from `begin` on, until the file is in its place or gone: whoever renames the folder changes nothing.
    private var folder: Int32 = -1
    private var name: Path
    /// The name of the file beside; empty while there is none.
    private var temporaryName: Path = ""
    /// Whether the path leads to what must not be replaced.
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
    var isPending: Bool { folder >= 0 }

    // MARK: Steps

    /// Opens the folder and makes the file beside, with what it is to keep of the one that it replaces. Returns its
    /// descriptor, or a negative errno; what there is by then, `discard` removes.
    func begin() -> Int {
        let opened = openFolder()
        guard opened >= 0 else { return opened }
        folder = Int32(opened)
        var status = ck_statx()
        let found = name.withCString {
            Kernel.statx(folder, $0, CK_AT_SYMLINK_NOFOLLOW, CK_STATX_BASIC_STATS, &status)
        }
        guard found == 0 || found == -Int(ENOENT) else { return found }
        // Of a link that is replaced itself there is nothing to keep.
        let keeps = found == 0 && status.mode & CK_S_IFMT != CK_S_IFLNK
        guard !keeps || status.mode & CK_S_IFMT == CK_S_IFREG else {
            if status.mode & CK_S_IFMT == CK_S_IFDIR { return -Int(EISDIR) }
            isRefused = true
            return -Int(EINVAL)
        }
        // Nobody may read it before it has the rights of the other.
        let descriptor = makeTemporary(permissions: keeps ? 0o600 : permissions)
        guard descriptor >= 0, keeps else { return descriptor }
        let kept = keepAttributes(status, Int32(descriptor))
        guard kept == 0 else {
            Kernel.close(Int32(descriptor))
            return kept
        }
        return descriptor
    }

    /// Syncs the file beside as far as it is asked for.
    func sync(_ descriptor: Int32) -> Int {
        switch durability.syncLevel {
        case .full: Kernel.fsync(descriptor)
        case .data: Kernel.fdatasync(descriptor)
        case nil: 0
        }
    }

    /// Gives the file beside the name. From then on nothing is discarded.
    func commit() -> Int {
        let renamed = temporaryName.withCString { temporary in
            name.withCString { Kernel.renameat2(folder, temporary, folder, $0, 0) }
        }
        guard renamed == 0 else { return renamed }
        temporaryName = ""
        defer { discard() }
        guard durability == .full else { return 0 }
        let synced = Kernel.fsync(folder)
        // Some file systems have no sync of folders.
        return synced == -Int(EINVAL) ? 0 : synced
    }

    /// Removes the file beside, if it has not taken the name, and lets the folder go. May be repeated.
    func discard() {
        if !temporaryName.bytes.isEmpty { _ = temporaryName.withCString { Kernel.unlinkat(folder, $0, 0) } }
        temporaryName = ""
        if folder >= 0 { Kernel.close(folder) }
        folder = -1
    }

    // MARK: The way there

    /// Opens the folder that the file lies in, behind the links that the path ends with.
    private func openFolder() -> Int {
        var path = path
        for _ in 0..<40 {
            let target = followsLinks ? linkTarget(path) : nil
            guard let target else {
                guard let placed = PlacedName(path) else { return -Int(EISDIR) }
                name = placed.name
                // To be synced, a folder must be open for reading.
                return placed.openFolder(from: origin, durability == .full ? CK_O_RDONLY : CK_O_PATH)
            }
            path = target
        }
        return -Int(ELOOP)
    }

    /// Where a path leads that ends with a symbolic link; nil for any other.
    private func linkTarget(_ path: Path) -> Path? {
        let slash = UInt8(ascii: "/")
        // No link of a file system holds more than 4095 bytes.
        let target = [UInt8](unsafeUninitializedCapacity: 4096) { memory, count in
            count = max(0, path.withCString { Kernel.readlinkat(origin.directory, $0, memory.baseAddress!, 4096) })
        }
        guard let first = target.first else { return nil }
        guard first != slash else { return Path(bytes: target) }
        let folder = path.bytes.reversed().drop { $0 != slash }.reversed()
        return Path(bytes: folder + target)
    }

    private func makeTemporary(permissions: UInt16) -> Int {
        let beside = PathOrigin(directory: folder, resolve: 0)
        let flags = CK_O_RDWR | CK_O_CREAT | CK_O_EXCL | CK_O_NOFOLLOW
        var result = -Int(EEXIST)
        for _ in 0..<64 where result == -Int(EEXIST) {
            temporaryName = .temporaryName(".aio-replace-")
            result = temporaryName.withCString { beside.open($0, flags, permissions: permissions) }
        }
        // Then it is somebody else's, or not there.
        if result < 0 { temporaryName = "" }
        return result
    }

    // MARK: What is kept

    /// Gives the file beside what it is to have of the replaced one, as `FileSystem.replaceFile` says.
    private func keepAttributes(_ old: ck_statx, _ descriptor: Int32) -> Int {
        var own = ck_statx()
        let found = Kernel.status(descriptor, CK_STATX_BASIC_STATS, &own)
        guard found == 0 else { return found }
        let keepsGroup =
            own.user == old.user && own.group == old.group || Kernel.fchown(descriptor, old.user, old.group) == 0
            || own.group == old.group || Kernel.fchown(descriptor, .max, old.group) == 0
        let source = name.withCString {
            WholeFile.open($0, CK_O_RDONLY | CK_O_NOFOLLOW, 0, from: PathOrigin(directory: folder, resolve: 0))
        }
        // Not allowed to, or gone meanwhile; anything else would lose what is to be kept.
        let isUnreadable = source == -Int(EACCES) || source == -Int(EPERM) || source == -Int(ENOENT)
        guard source >= 0 || isUnreadable else { return source }
        defer { if source >= 0 { Kernel.close(Int32(source)) } }
        if source >= 0 {
            // While its mode lets the caller write: without privileges these ask for that.
            let copied = AttributeCopy(from: Int32(source), to: descriptor).copyOfUser()
            guard copied == 0 else { return copied }
        }
        // With an access control list, the group's bits are not the group's.
        let knowsGroup = keepsGroup && source >= 0
        if knowsGroup {
            // The list brings the permissions with it: nobody may have more in between.
            let listed = AttributeCopy(from: Int32(source), to: descriptor).copyAccessList()
            guard listed == 0 else { return min(listed, 0) }
        }
        // A list that the folder gives to new files may let others in.
        _ = AttributeCopy.accessList.withCString { Kernel.fremovexattr(descriptor, $0) }
        let mode = UInt32(old.mode & 0o1777)
        return Kernel.fchmod(descriptor, knowsGroup ? mode : Self.withoutGroup(mode))
    }

    /// The group may do no more than everybody may.
    private static func withoutGroup(_ mode: UInt32) -> UInt32 { mode & ~0o070 | (mode & 0o007) << 3 & mode }
}
