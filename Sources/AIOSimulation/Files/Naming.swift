internal import AIOCore
internal import CKernel

/// Changes of names, each one transaction.
extension SimulatedFileSystem {
    /// Adds a new inode under a name that is free.
    @discardableResult
    func addNew(_ inode: Inode, _ name: FileName, in directory: Directory) throws(CallError) -> DirectoryEntry {
        try require(freeInodes > 0, ENOSPC)
        let folder = inode as? Directory
        try require(folder == nil || directory.linkCount < Self.linkLimit, EMLINK)
        let entry = DirectoryEntry(inode, in: directory, name: name)
        inode.lastDataTransaction = begin()
        addInode()
        inode.linkCount = 1
        if let folder {
            folder.entry = entry
            folder.linkCount = 2
            directory.linkCount += 1
        }
        set(name, in: directory, to: entry)
        noteChangedNames(directory)
        notify(directory, CK_IN_CREATE | Self.directoryBit(inode), name)
        return entry
    }

    /// linkat(2).
    func link(_ inode: Inode, _ name: FileName, in directory: Directory) throws(CallError) {
        try require(!(inode is Directory), EPERM)
        try require(inode.linkCount > 0 || inode.isLinkable, ENOENT)
        try require(inode.linkCount < Self.linkLimit, EMLINK)
        _ = begin()
        inode.linkCount += 1
        set(name, in: directory, to: DirectoryEntry(inode, in: directory, name: name))
        noteChangedNames(directory)
        noteChanged(inode)
        notify(inode, CK_IN_ATTRIB)
        notify(directory, CK_IN_CREATE, name)
    }

    /// unlinkat(2), of a directory too, which is empty.
    func remove(_ entry: DirectoryEntry, from directory: Directory) {
        _ = begin()
        set(entry.name, in: directory, to: nil)
        noteChangedNames(directory)
        noteChanged(entry.inode)
        drop(entry, from: directory)
        if !(entry.inode is Directory) { notify(entry.inode, CK_IN_ATTRIB) }
        notifyEnd(entry)
        notify(directory, CK_IN_DELETE | Self.directoryBit(entry.inode), entry.name)
        releaseIfUnused(entry.inode)
    }

    /// The inode of an entry that is not in the directory any more has one name less.
    private func drop(_ entry: DirectoryEntry, from directory: Directory) {
        entry.isRemoved = true
        guard let folder = entry.inode as? Directory else {
            entry.inode.linkCount -= 1
            return
        }
        folder.linkCount = 0
        folder.isRemoved = true
        directory.linkCount -= 1
    }

    /// renameat2(2) without RENAME_EXCHANGE. `replaced` has the new name so far.
    func rename(
        _ entry: DirectoryEntry, from old: Directory, to new: Directory, _ name: FileName,
        replacing replaced: DirectoryEntry?
    ) throws(CallError) {
        let movesFolder = entry.inode is Directory && old !== new
        try require(!movesFolder || replaced != nil || new.linkCount < Self.linkLimit, EMLINK)
        let transaction = begin()
        let oldName = entry.name
        set(oldName, in: old, to: nil)
        set(name, in: new, to: entry)
        entry.move(to: new, name: name)
        if movesFolder {
            old.linkCount -= 1
            new.linkCount += 1
        }
        noteChangedNames(old)
        noteChangedNames(new)
        noteChanged(entry.inode)
        if let replaced {
            noteChanged(replaced.inode)
            drop(replaced, from: new)
            saveBeforeReplacing(entry.inode, transaction)
        }
        notifyMove(entry.inode, (old, oldName), (new, name), replaced: replaced?.inode)
        if let replaced {
            notifyEnd(replaced)
            releaseIfUnused(replaced.inode)
        }
    }

    /// ext4's auto_da_alloc: a rename over an existing file begins to save the new file's data, so that data=ordered
    /// has it on the device before the transaction is committed (ext4_rename; "replace via rename" in
    /// Documentation/admin-guide/ext4.rst).
    private func saveBeforeReplacing(_ inode: Inode, _ transaction: UInt64) {
        guard let file = inode as? RegularFile else { return }
        let old = file.lastDataTransaction
        file.saveWith(transaction)
        if let committed = file.forgetOldestChange() { journal.commit(through: committed) }
        // fdatasync(2) of the file does not wait for the transaction of a rename.
        file.lastDataTransaction = old
    }

    /// RENAME_EXCHANGE.
    func exchange(_ one: DirectoryEntry, in first: Directory, _ other: DirectoryEntry, in second: Directory) {
        _ = begin()
        let names = (one.name, other.name)
        set(names.0, in: first, to: other)
        set(names.1, in: second, to: one)
        one.move(to: second, name: names.1)
        other.move(to: first, name: names.0)
        if first !== second, one.inode is Directory != (other.inode is Directory) {
            let change = one.inode is Directory ? 1 : -1
            first.linkCount -= change
            second.linkCount += change
        }
        for directory in [first, second] { noteChangedNames(directory) }
        for inode in [one.inode, other.inode] { noteChanged(inode) }
        notifyMove(one.inode, (first, names.0), (second, names.1), replaced: nil)
        notifyMove(other.inode, (second, names.1), (first, names.0), replaced: nil)
    }

    private func notifyMove(
        _ inode: Inode, _ from: (Directory, FileName), _ to: (Directory, FileName), replaced: Inode?
    ) {
        let cookie = nextChangeCookie()
        let bit = Self.directoryBit(inode)
        notify(from.0, CK_IN_MOVED_FROM | bit, from.1, cookie: cookie)
        notify(to.0, CK_IN_MOVED_TO | bit, to.1, cookie: cookie)
        if let replaced, !(replaced is Directory) { notify(replaced, CK_IN_ATTRIB) }
        notify(inode, CK_IN_MOVE_SELF)
    }

    // MARK: Times

    private func noteChangedNames(_ directory: Directory) {
        change(directory) { attributes in
            attributes.modified = now
            attributes.changed = now
        }
    }

    private func noteChanged(_ inode: Inode) { change(inode) { $0.changed = now } }
}
