internal import AIOCore
internal import CKernel

extension SimulatedFileSystem {
    /// fsync(2) and fdatasync(2) of a file or directory, which succeed.
    func sync(_ inode: Inode, _ extent: SyncExtent) {
        (inode as? RegularFile)?.save()
        (inode as? Directory)?.unsyncedNames = [:]
        // A directory's content is metadata: both calls save all of it.
        let savesAttributes = extent == .full || inode is Directory
        if savesAttributes { inode.unsyncedAttributes = [] }
        journal.commit(through: savesAttributes ? inode.lastTransaction : inode.lastDataTransaction)
    }

    /// What a failed fsync or fdatasync leaves: the data is lost and marked clean, so that the next sync succeeds
    /// (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020; ext4 and XFS).
    func failSync(_ inode: Inode) {
        (inode as? RegularFile)?.failToSave(choosing: &world.random)
        inode.errors.add()
    }

    /// sync(2) and syncfs(2): everything is durable.
    package func syncAll() {
        var seen: Set<UInt64> = []
        saveTree(root, &seen)
        journal.commit(through: journal.lastNumber)
    }

    private func saveTree(_ directory: Directory, _ seen: inout Set<UInt64>) {
        sync(directory, .full)
        for name in directory.names {
            guard let inode = directory.lookUp(name)?.inode, seen.insert(inode.number).inserted else { continue }
            if let folder = inode as? Directory { saveTree(folder, &seen) } else { sync(inode, .full) }
        }
    }

    // MARK: Space

    /// How many bytes of a write there is room for: the free blocks may be used up in the middle.
    func roomForWrite(to file: RegularFile, at offset: Int64, _ count: Int) -> Int {
        // Most writes fit without counting.
        let pages = file.pages(of: offset, count)
        guard pages.count > freeBlocks else { return count }
        var free = freeBlocks
        for page in pages where file.image.pages[page] == nil {
            guard free > 0 else { return max(0, page * FilePage.size - Int(offset)) }
            free -= 1
        }
        return count
    }

    // MARK: Status

    func fill(_ status: UnsafeMutablePointer<ck_statx>, _ inode: Inode) {
        var result = ck_statx()
        result.mask = CK_STATX_BASIC_STATS | CK_STATX_BTIME | CK_STATX_MNT_ID_UNIQUE
        result.block_size = UInt32(FilePage.size)
        result.link_count = UInt32(inode.linkCount)
        result.user = inode.attributes.user
        result.group = inode.attributes.group
        result.mode = inode.attributes.mode
        result.inode = inode.number
        result.size = UInt64(inode.size)
        result.blocks = UInt64(inode.blockCount * FilePage.size / 512)
        result.access_time = inode.attributes.accessed.timestamp
        result.modification_time = inode.attributes.modified.timestamp
        result.change_time = inode.attributes.changed.timestamp
        result.birth_time = inode.created.timestamp
        // The first partition of a SCSI disk.
        (result.device_major, result.device_minor) = (8, 1)
        result.mount_id = 1
        if let special = inode as? SpecialFile {
            (result.special_device_major, result.special_device_minor) = special.device
        }
        if inode is RegularFile {
            result.mask |= CK_STATX_DIOALIGN
            result.direct_memory_alignment = UInt32(FilePage.sectorSize)
            result.direct_offset_alignment = UInt32(FilePage.sectorSize)
        }
        status.pointee = result
    }

    /// statfs(2), as of ext4.
    func fill(_ result: UnsafeMutablePointer<ck_statfs>) {
        var status = ck_statfs()
        status.type = 0xef53
        status.block_size = Int64(FilePage.size)
        status.fragment_size = Int64(FilePage.size)
        status.blocks = UInt64(limits.blocks)
        status.blocks_free = UInt64(freeBlocks)
        status.blocks_available = UInt64(freeBlocks)
        status.files = UInt64(limits.inodes)
        status.files_free = UInt64(freeInodes)
        status.name_length_max = 255
        result.pointee = status
    }
}
