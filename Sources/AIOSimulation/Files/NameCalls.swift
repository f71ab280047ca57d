internal import AIOCore
internal import CKernel

/// The calls that make, move and remove names.
extension SimulatedKernel {
    func makeDirectory(_ descriptor: Int, _ address: Int, _ mode: Int) throws(CallError) -> Int {
        let (directory, name) = try newName(descriptor, try path(address), forDirectory: true)
        // The sticky bit and the permissions; the set-ID bits are ignored.
        let mode = CK_S_IFDIR | UInt16(mode & 0o1777)
        let folder = Directory(
            number: fileSystem.nextInodeNumber(), attributes: newAttributes(mode, in: directory),
            created: fileSystem.now)
        try fileSystem.addNew(folder, name, in: directory)
        return 0
    }

    func makeNode(_ descriptor: Int, _ address: Int, _ mode: Int, _ device: Int) throws(CallError) -> Int {
        var mode = UInt16(truncatingIfNeeded: mode)
        if mode & CK_S_IFMT == 0 { mode |= CK_S_IFREG }
        let type = mode & CK_S_IFMT
        try require(
            [CK_S_IFREG, CK_S_IFCHR, CK_S_IFBLK, CK_S_IFIFO, CK_S_IFSOCK].contains(type),
            type == CK_S_IFDIR ? EPERM : EINVAL)
        let (directory, name) = try newName(descriptor, try path(address), forDirectory: false)
        let attributes = newAttributes(type | mode & 0o7777, in: directory)
        let number = fileSystem.nextInodeNumber()
        // The kernel's encoding of a device (new_encode_dev): 8 bits of the minor, 12 of the major, 12 of the minor.
        let device = UInt32(truncatingIfNeeded: device)
        let numbers = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00))
        let isDevice = type == CK_S_IFCHR || type == CK_S_IFBLK
        let inode: Inode =
            type == CK_S_IFREG
            ? RegularFile(number: number, attributes: attributes, created: fileSystem.now)
            : SpecialFile(
                number: number, attributes: attributes, created: fileSystem.now, device: isDevice ? numbers : (0, 0))
        try fileSystem.addNew(inode, name, in: directory)
        return 0
    }

    func makeSymbolicLink(_ targetAddress: Int, _ descriptor: Int, _ address: Int) throws(CallError) -> Int {
        let target = try path(targetAddress)
        try require(!target.isEmpty, ENOENT)
        let (directory, name) = try newName(descriptor, try path(address), forDirectory: false)
        let link = SymbolicLink(
            number: fileSystem.nextInodeNumber(), attributes: newAttributes(CK_S_IFLNK | 0o777, in: directory),
            created: fileSystem.now, target: target)
        try fileSystem.addNew(link, name, in: directory)
        return 0
    }

    func makeLink(
        _ descriptor: Int, _ address: Int, _ newDescriptor: Int, _ newAddress: Int, _ flags: Int
    ) throws(CallError) -> Int {
        try require(flags & ~Int(CK_AT_SYMLINK_FOLLOW | CK_AT_EMPTY_PATH) == 0, EINVAL)
        // linkat(2) follows links only on request, unlike the other calls.
        let follows = flags & Int(CK_AT_SYMLINK_FOLLOW) != 0
        let lookup = flags & Int(CK_AT_EMPTY_PATH) | (follows ? 0 : Int(CK_AT_SYMLINK_NOFOLLOW))
        let entry = try file(descriptor, address, flags: lookup)
        let (directory, name) = try newName(newDescriptor, try path(newAddress), forDirectory: false)
        try require(!(entry.inode is DescriptorLink), EXDEV)
        try fileSystem.link(entry.inode, name, in: directory)
        return 0
    }

    func readLink(_ descriptor: Int, _ address: Int, _ buffer: Int, _ count: Int) throws(CallError) -> Int {
        try require(Int32(truncatingIfNeeded: count) > 0, EINVAL)
        let isEmpty = try path(address).isEmpty
        let entry = try file(descriptor, address, flags: Int(CK_AT_SYMLINK_NOFOLLOW | CK_AT_EMPTY_PATH))
        let target: [UInt8]
        switch entry.inode {
        case let link as SymbolicLink: target = link.target
        case let link as DescriptorLink: target = Array(link.description.name.utf8)
        default: throw CallError(isEmpty ? ENOENT : EINVAL)
        }
        guard let memory = UnsafeMutableRawPointer(bitPattern: buffer) else { throw CallError(EFAULT) }
        let part = target.prefix(count)
        UnsafeMutableRawBufferPointer(start: memory, count: part.count).copyBytes(from: part)
        fileSystem.noteAccess(entry.inode)
        return part.count
    }

    // MARK: Removal

    func unlink(_ descriptor: Int, _ address: Int, _ flags: Int) throws(CallError) -> Int {
        try require(flags & ~Int(CK_AT_REMOVEDIR) == 0, EINVAL)
        let path = try path(address)
        var walk = try walk(descriptor, path)
        let parent = try walk.parent(path)
        return flags & Int(CK_AT_REMOVEDIR) != 0
            ? try removeDirectory(parent, walk) : try removeFile(parent, walk)
    }

    private func removeDirectory(_ parent: PathWalk.Parent, _ walk: PathWalk) throws(CallError) -> Int {
        switch parent.last {
        case .dotDot: throw CallError(ENOTEMPTY)
        case .dot: throw CallError(EINVAL)
        case .root: throw CallError(EBUSY)
        case .name(let name):
            guard let entry = try walk.lookUp(name, in: parent.directory) else { throw CallError(ENOENT) }
            guard let folder = entry.inode as? Directory else { throw CallError(ENOTDIR) }
            try require(folder.isEmpty && !(folder is DescriptorDirectory), ENOTEMPTY)
            fileSystem.remove(entry, from: parent.directory)
            return 0
        }
    }

    private func removeFile(_ parent: PathWalk.Parent, _ walk: PathWalk) throws(CallError) -> Int {
        guard case .name(let name) = parent.last else { throw CallError(EISDIR) }
        guard let entry = try walk.lookUp(name, in: parent.directory) else { throw CallError(ENOENT) }
        try require(!(entry.inode is Directory), EISDIR)
        try require(!parent.hasTrailingSlash, ENOTDIR)
        try require(!(entry.inode is DescriptorLink), EPERM)
        fileSystem.remove(entry, from: parent.directory)
        return 0
    }
}
