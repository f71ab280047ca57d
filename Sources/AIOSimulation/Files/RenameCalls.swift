internal import AIOCore
internal import CKernel

/// renameat2(2), with the checks of do_renameat2 and vfs_rename in their order.
extension SimulatedKernel {
    private struct Ends {
        let old: PathWalk.Parent
        let new: PathWalk.Parent
        let entry: DirectoryEntry
        let name: FileName
        let replaced: DirectoryEntry?
    }

    func rename(
        _ descriptor: Int, _ address: Int, _ newDescriptor: Int, _ newAddress: Int, _ flags: Int
    ) throws(CallError) -> Int {
        let flags = UInt32(truncatingIfNeeded: flags)
        try require(flags & ~(CK_RENAME_NOREPLACE | CK_RENAME_EXCHANGE) == 0, EINVAL)
        try require(flags != CK_RENAME_NOREPLACE | CK_RENAME_EXCHANGE, EINVAL)
        let ends = try ends(descriptor, try path(address), newDescriptor, try path(newAddress), flags)
        try check(ends, flags)
        if let replaced = ends.replaced {
            // Two names of one file: nothing happens.
            if replaced.inode === ends.entry.inode { return 0 }
            if flags & CK_RENAME_EXCHANGE != 0 {
                fileSystem.exchange(ends.entry, in: ends.old.directory, replaced, in: ends.new.directory)
                return 0
            }
            try checkReplacement(ends.entry.inode, replaced.inode)
        }
        try require(!ends.new.directory.isRemoved, ENOENT)
        try fileSystem.rename(
            ends.entry, from: ends.old.directory, to: ends.new.directory, ends.name, replacing: ends.replaced)
        return 0
    }

    private func ends(
        _ descriptor: Int, _ path: [UInt8], _ newDescriptor: Int, _ newPath: [UInt8], _ flags: UInt32
    ) throws(CallError) -> Ends {
        var walk = try walk(descriptor, path)
        let old = try walk.parent(path)
        var newWalk = try self.walk(newDescriptor, newPath)
        let new = try newWalk.parent(newPath)
        guard case .name(let oldName) = old.last else { throw CallError(EBUSY) }
        guard case .name(let name) = new.last else {
            throw CallError(flags & CK_RENAME_NOREPLACE != 0 ? EEXIST : EBUSY)
        }
        guard let entry = try walk.lookUp(oldName, in: old.directory) else { throw CallError(ENOENT) }
        let replaced = try newWalk.lookUp(name, in: new.directory)
        return Ends(old: old, new: new, entry: entry, name: name, replaced: replaced)
    }

    private func check(_ ends: Ends, _ flags: UInt32) throws(CallError) {
        try require(ends.replaced == nil || flags & CK_RENAME_NOREPLACE == 0, EEXIST)
        let exchanges = flags & CK_RENAME_EXCHANGE != 0
        if exchanges {
            guard let replaced = ends.replaced else { throw CallError(ENOENT) }
            try require(replaced.inode is Directory || !ends.new.hasTrailingSlash, ENOTDIR)
        }
        if !(ends.entry.inode is Directory) {
            try require(!ends.old.hasTrailingSlash && (exchanges || !ends.new.hasTrailingSlash), ENOTDIR)
        }
        if let folder = ends.entry.inode as? Directory {
            try require(!ends.new.directory.isInside(folder), EINVAL)
        }
        if let folder = ends.replaced?.inode as? Directory, ends.old.directory.isInside(folder) {
            throw CallError(exchanges ? EINVAL : ENOTEMPTY)
        }
        try require(!(ends.old.directory is DescriptorDirectory || ends.new.directory is DescriptorDirectory), EXDEV)
    }

    private func checkReplacement(_ moved: Inode, _ replaced: Inode) throws(CallError) {
        guard moved is Directory else {
            try require(!(replaced is Directory), EISDIR)
            return
        }
        guard let folder = replaced as? Directory else { throw CallError(ENOTDIR) }
        try require(folder.isEmpty, ENOTEMPTY)
    }
}
