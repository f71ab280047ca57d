internal import AIOCore

/// What a crash of the host, as by a loss of power, leaves of what was not synced.
package enum CrashRules: Sendable {
    /// What POSIX promises, and nothing else. fsync(2) makes a file's content, size and attributes durable, and
    /// fdatasync(2) its content and size ("The Open Group Base Specifications", fsync() and fdatasync()). A name is
    /// durable after an fsync of its directory ("Calling fsync() does not necessarily ensure that the entry in the
    /// directory containing the file has also reached disk", fsync(2)). Everything else may be lost, kept or torn, each
    /// by itself.
    case posix
    /// What ext4 (data=ordered, auto_da_alloc) and XFS add:
    /// - Changes of metadata become durable in their order, so a prefix of them survives (`Journal`). An fsync commits
    ///   everything up to the file's own last change, thus also the name of a new file (ext4_sync_file waits for the
    ///   inode's i_sync_tid; xfs_fsync_flush_log forces the log to the inode's last item).
    /// - A size that a write extended is durable only with the data before it ("data=ordered" in
    ///   Documentation/admin-guide/ext4.rst; xfs_end_ioend updates the size after the write). What a program reads
    ///   after the crash is its own data or zeros, never what the blocks had before. (ext4 alone promises less within
    ///   a block that it had allocated before: there the size may come first, and zeros be read.)
    /// - A rename over a file, and the close of a file that was truncated to nothing, save the new data with their
    ///   transaction ("auto_da_alloc" in the same file; ext4_rename and ext4_release_file).
    case ordered
}

extension SimulatedFileSystem {
    /// The file system after a crash: what is durable, and of the rest what `random` chooses.
    package func crash(_ rules: CrashRules, seed: UInt64) -> SimulatedFileSystem {
        var random = SimulatedRandom(seed: seed)
        return crash(rules, &random)
    }

    /// A copy of a file system in which everything is durable.
    func copy(in world: World) -> SimulatedFileSystem {
        var random = SimulatedRandom(seed: 0)
        return crash(.ordered, &random, in: world)
    }

    func crash(
        _ rules: CrashRules, _ random: inout SimulatedRandom, in world: World? = nil
    ) -> SimulatedFileSystem {
        var survivors = Survivors(rules, self, random)
        let root = survivors.root()
        random = survivors.random
        let survivor = SimulatedFileSystem(surviving: root, of: self, in: world)
        for inode in survivors.all {
            survivor.addInode()
            if let file = inode as? RegularFile { survivor.addBlocks(file.blockCount) }
        }
        return survivor
    }
}

/// Builds the tree that a crash leaves.
struct Survivors {
    private let rules: CrashRules
    private let old: SimulatedFileSystem
    var random: SimulatedRandom
    /// The transactions up to this one survive; of no use under `.posix`.
    private let lastTransaction: UInt64
    private var names: [UInt64: [FileName: Inode?]] = [:]
    private var attributes: [UInt64: InodeAttributes] = [:]
    private var copies: [UInt64: Inode] = [:]
    /// All inodes that survive.
    private(set) var all: [Inode] = []

    init(_ rules: CrashRules, _ old: SimulatedFileSystem, _ random: SimulatedRandom) {
        self.rules = rules
        self.old = old
        self.random = random
        let pending = old.journal.transactions
        // All, none, or a prefix.
        let kept: Int
        switch self.random.below(4) {
        case 0: kept = 0
        case 1: kept = pending.count
        default: kept = self.random.below(pending.count + 1)
        }
        lastTransaction = kept == pending.count ? old.journal.lastNumber : pending[kept].number - 1
        if rules == .ordered { undo(pending[kept...]) }
    }

    /// Undoes transactions: the oldest is undone last.
    private mutating func undo(_ transactions: ArraySlice<Journal.Transaction>) {
        for transaction in transactions.reversed() {
            for replaced in transaction.replaced.reversed() {
                switch replaced {
                case .name(let directory, let name, let inode):
                    names[directory.number, default: [:]][name] = .some(inode)
                case .attributes(let inode, let before): attributes[inode.number] = before
                }
            }
        }
    }

    mutating func root() -> Directory {
        guard let root = copy(of: old.root) as? Directory else { preconditionFailure("the root is no directory") }
        root.linkCount += 1
        return root
    }

    private mutating func copy(of inode: Inode) -> Inode {
        if let copy = copies[inode.number] { return copy }
        let copy: Inode
        if let file = inode as? RegularFile {
            let image = rules == .ordered ? orderedImage(file) : looseImage(file)
            copy = file.survivor(attributes(of: file), image)
        } else {
            copy = inode.survivor(attributes(of: inode))
        }
        copies[inode.number] = copy
        all.append(copy)
        if let directory = inode as? Directory, let copy = copy as? Directory { fill(copy, from: directory) }
        return copy
    }

    private mutating func attributes(of inode: Inode) -> InodeAttributes {
        guard rules == .posix else { return attributes[inode.number] ?? inode.attributes }
        let candidates = inode.unsyncedAttributes + [inode.attributes]
        return candidates[random.below(candidates.count)]
    }

    // MARK: Names

    private mutating func fill(_ copy: Directory, from directory: Directory) {
        copy.linkCount = 1
        for (name, inode) in rules == .ordered ? orderedNames(directory) : looseNames(directory) {
            // A directory has one name. A rename that was kept in half may have left two, of which fsck removes one.
            if let folder = inode as? Directory, copies[folder.number] != nil { continue }
            let child = self.copy(of: inode)
            let entry = DirectoryEntry(child, in: copy, name: name)
            copy.set(name, to: entry)
            child.linkCount += 1
            if let folder = child as? Directory {
                folder.entry = entry
                copy.linkCount += 1
            }
        }
    }

    private func orderedNames(_ directory: Directory) -> [(FileName, Inode)] {
        let undone = names[directory.number] ?? [:]
        return (directory.names + undone.keys.filter { directory.lookUp($0) == nil }).sorted(by: Self.precedes)
            .compactMap { name in
                let inode = if let before = undone[name] { before } else { directory.lookUp(name)?.inode }
                return inode.map { (name, $0) }
            }
    }

    /// Each name may be what it was at any time since the directory's last fsync.
    private mutating func looseNames(_ directory: Directory) -> [(FileName, Inode)] {
        let unsynced = directory.unsyncedNames
        let all = directory.names + unsynced.keys.filter { directory.lookUp($0) == nil }
        let tendency = random.below(4)
        var result: [(FileName, Inode)] = []
        for name in all.sorted(by: Self.precedes) {
            let candidates = (unsynced[name] ?? []) + [directory.lookUp(name)?.inode]
            // Also none at all of the changes, and all of them.
            let index = tendency == 0 ? 0 : tendency == 1 ? candidates.count - 1 : random.below(candidates.count)
            if let inode = candidates[index] { result.append((name, inode)) }
        }
        return result
    }

    private static func precedes(_ a: FileName, _ b: FileName) -> Bool { a.lexicographicallyPrecedes(b) }

    // MARK: Content

    private mutating func orderedImage(_ file: RegularFile) -> FileImage {
        let image = file.history.first { $0.transaction > lastTransaction }?.image ?? file.image
        return image.survivor(choosing: &random)
    }

    private mutating func looseImage(_ file: RegularFile) -> FileImage {
        let images = file.history.map(\.image) + [file.image]
        let first = random.oneIn(2) ? 0 : random.below(images.count)
        return FileImage.looseSurvivor(of: images[first...], choosing: &random)
    }
}
