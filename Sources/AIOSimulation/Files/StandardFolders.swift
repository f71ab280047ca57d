internal import CKernel

extension SimulatedFileSystem {
    /// /tmp, /dev with the devices of mem(4), and /proc/self/fd. They are there from the beginning, and durable.
    func makeStandardFolders() {
        _ = addFolder("tmp", to: root, 0o1777)
        let devices = addFolder("dev", to: root, 0o755)
        for (name, minor) in [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)] as [(_, UInt32)] {
            let device = SpecialFile(
                number: nextInodeNumber(), attributes: attributes(CK_S_IFCHR | 0o666), created: now, device: (1, minor))
            add(device, to: devices, name)
        }
        _ = addFolder("shm", to: devices, 0o1777)
        let processes = addFolder("proc", to: root, 0o555)
        for name in ["self", "thread-self"] {
            let own = addFolder(name, to: processes, 0o555)
            add(
                DescriptorDirectory(
                    number: nextInodeNumber(), attributes: attributes(CK_S_IFDIR | 0o500), created: now),
                to: own, "fd")
        }
    }

    private func addFolder(_ name: String, to parent: Directory, _ permissions: UInt16) -> Directory {
        let folder = Directory(
            number: nextInodeNumber(), attributes: attributes(CK_S_IFDIR | permissions), created: now)
        add(folder, to: parent, name)
        return folder
    }

    private func add(_ inode: Inode, to parent: Directory, _ name: String) {
        let name = FileName(name.utf8)
        let entry = DirectoryEntry(inode, in: parent, name: name)
        parent.set(name, to: entry)
        inode.linkCount = 1
        if let folder = inode as? Directory {
            folder.entry = entry
            folder.linkCount = 2
            parent.linkCount += 1
        }
        addInode()
    }

    func attributes(_ mode: UInt16) -> InodeAttributes {
        InodeAttributes(mode: mode, accessed: now, modified: now, changed: now)
    }
}
