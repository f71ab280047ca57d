internal import AIOCore
internal import CKernel

/// The file system of one host. It survives a crash of the host in the form that `crash` gives it.
package final class SimulatedFileSystem {
    /// What fits into it.
    package struct Limits {
        /// In blocks of 4 KiB, of file contents alone.
        package var blocks = 1 << 22
        package var inodes = 1 << 24
        /// fs.inotify.max_queued_events.
        package var queuedChanges = 16384
        package init() {}
    }

    let world: World
    package var limits: Limits
    let root: Directory
    var journal = Journal()
    private(set) var blocksInUse = 0
    private(set) var inodesInUse = 0
    private var lastInodeNumber: UInt64 = 1
    private var changeCookie: UInt32 = 0

    /// ext4: 2^32 blocks, less one.
    static let maximumSize: Int64 = (1 << 44) - 4096
    static let linkLimit = 65000

    package init(in world: World, limits: Limits = Limits()) {
        self.world = world
        self.limits = limits
        let now = Self.now(world)
        root = Directory(
            number: 2,
            attributes: InodeAttributes(mode: CK_S_IFDIR | 0o755, accessed: now, modified: now, changed: now),
            created: now)
        lastInodeNumber = 10
        root.linkCount = 2
        inodesInUse = 1
        makeStandardFolders()
    }

    /// What a crash left, in the same world or in another.
    init(surviving root: Directory, of old: SimulatedFileSystem, in world: World? = nil) {
        self.world = world ?? old.world
        limits = old.limits
        lastInodeNumber = old.lastInodeNumber
        self.root = root
    }

    // MARK: Time and numbers

    private static func now(_ world: World) -> FileTime {
        FileTime(wallClock: world.now + world.wallClockOffset)
    }

    /// The wall clock.
    var now: FileTime { Self.now(world) }

    func nextChangeCookie() -> UInt32 {
        changeCookie += 1
        return changeCookie
    }

    func nextInodeNumber() -> UInt64 {
        lastInodeNumber += 1
        return lastInodeNumber
    }

    // MARK: Space

    var freeBlocks: Int { max(0, limits.blocks - blocksInUse) }
    var freeInodes: Int { max(0, limits.inodes - inodesInUse) }

    func addBlocks(_ count: Int) { blocksInUse += count }

    /// Counts an inode that is new in the file system.
    func addInode() { inodesInUse += 1 }

    /// To be called when an inode may have lost its last name or use.
    func releaseIfUnused(_ inode: Inode) {
        guard inode.linkCount == 0, inode.openCount == 0 else { return }
        inodesInUse -= 1
        blocksInUse -= inode is RegularFile ? inode.blockCount : 0
    }

    /// IN_DELETE_SELF, once the last name is removed and nobody has the file open by it (dentry_unlink_inode).
    func notifyEnd(_ entry: DirectoryEntry) {
        guard entry.isRemoved, entry.openCount == 0, entry.inode.linkCount == 0 else { return }
        notify(entry.inode, CK_IN_DELETE_SELF)
        for watch in entry.inode.watches { watch.queue?.remove(watch) }
    }

    // MARK: Changes of metadata

    /// Begins the transaction of a system call.
    func begin() -> UInt64 { journal.begin() }

    /// Gives a name to an inode, or removes it, as part of the current transaction.
    func set(_ name: FileName, in directory: Directory, to new: DirectoryEntry?) {
        let old = directory.lookUp(name)?.inode
        journal.note(.name(directory, name, old))
        directory.keepForSync(name, old)
        directory.set(name, to: new)
        for inode in [directory, old, new?.inode] { inode?.lastTransaction = journal.lastNumber }
    }

    /// Changes attributes, as part of the current transaction.
    func change(_ inode: Inode, _ change: (inout InodeAttributes) -> Void) {
        let old = inode.attributes
        change(&inode.attributes)
        guard inode.attributes != old else { return }
        journal.note(.attributes(inode, old))
        inode.keepForSync(old)
        inode.lastTransaction = journal.lastNumber
    }

    /// Sets the times that a change of content updates. Not a transaction: the times may be lost without the content.
    func touch(_ inode: Inode) {
        let old = inode.attributes
        inode.attributes.modified = now
        inode.attributes.changed = now
        if inode.attributes != old { inode.keepForSync(old) }
    }

    /// relatime, the kernel's default: the time of access follows only what would otherwise mislead a mail reader.
    func noteAccess(_ inode: Inode) {
        let times = inode.attributes
        let day: Nanoseconds = 86_400_000_000_000
        guard times.accessed <= max(times.modified, times.changed) || now.since(times.accessed) >= day else { return }
        inode.attributes.accessed = now
    }
}

extension Directory {
    /// Notes what had a name, which a crash may bring back. The durable one is first; of the others the oldest are left
    /// out.
    func keepForSync(_ name: FileName, _ old: Inode?) {
        var all = unsyncedNames[name] ?? []
        all.append(old)
        if all.count > 8 { all.remove(at: 1) }
        unsyncedNames[name] = all
    }
}

extension Inode {
    /// Notes attributes that a crash may bring back. The durable ones are first; of the others the oldest are left out.
    func keepForSync(_ old: InodeAttributes) {
        unsyncedAttributes.append(old)
        if unsyncedAttributes.count > 8 { unsyncedAttributes.remove(at: 1) }
    }
}
