internal import AIOCore
internal import CKernel

/// openat2(2).
extension SimulatedKernel {
    func open(_ directory: Int, _ pathAddress: Int, _ howAddress: Int, _ size: Int) throws(CallError) -> Int {
        try require(size >= MemoryLayout<ck_open_how>.size, EINVAL)
        guard let how = UnsafePointer<ck_open_how>(bitPattern: howAddress)?.pointee else { throw CallError(EFAULT) }
        try check(how)
        let path = try path(pathAddress)
        // The number is taken before the file is opened.
        if let refusal = descriptors.refusal { throw CallError(refusal) }
        var walk = try walk(directory, path, resolve: how.resolve)
        let description = try opened(path, how, &walk)
        return descriptors.add(description, closesOnExec: how.flags & CK_O_CLOEXEC != 0)
    }

    /// The rules of build_open_flags in the kernel's fs/open.c.
    private func check(_ how: ck_open_how) throws(CallError) {
        let flags = how.flags
        // The last three: O_ASYNC, O_LARGEFILE and O_NOATIME, which nothing here looks at.
        let status: UInt64 =
            CK_O_ACCMODE | CK_O_APPEND | CK_O_NONBLOCK | CK_O_SYNC | CK_O_DIRECT | 0o20000 | 0o100000 | 0o1000000
        let known =
            status | CK_O_CREAT | CK_O_EXCL | CK_O_NOCTTY | CK_O_TRUNC | CK_O_DIRECTORY | CK_O_NOFOLLOW | CK_O_CLOEXEC
            | CK_O_PATH | CK_O_TMPFILE
        try require(flags & ~known == 0 && how.resolve & ~0x3f == 0, EINVAL)
        try require(how.resolve & 0x18 != 0x18, EINVAL)
        let creates = flags & (CK_O_CREAT | CK_O_TMPFILE) != 0
        try require(creates ? how.mode & ~0o7777 == 0 : how.mode == 0, EINVAL)
        try require(flags & (CK_O_CREAT | CK_O_DIRECTORY) != CK_O_CREAT | CK_O_DIRECTORY, EINVAL)
        if flags & CK_O_TMPFILE != 0 {
            try require(flags & CK_O_DIRECTORY != 0 && flags & CK_O_ACCMODE != CK_O_RDONLY, EINVAL)
        }
        if flags & CK_O_PATH != 0 {
            try require(flags & ~(CK_O_PATH | CK_O_DIRECTORY | CK_O_NOFOLLOW | CK_O_CLOEXEC) == 0, EINVAL)
        }
        if how.resolve & CK_RESOLVE_CACHED != 0 {
            try require(flags & (CK_O_TRUNC | CK_O_CREAT | CK_O_TMPFILE) == 0, EAGAIN)
        }
    }

    private func opened(
        _ path: [UInt8], _ how: ck_open_how, _ walk: inout PathWalk
    ) throws(CallError) -> OpenDescription {
        if how.flags & CK_O_TMPFILE != 0 {
            let entry = try walk.file(path, followLast: true)
            return try temporaryFile(in: entry.inode, how)
        }
        guard how.flags & CK_O_CREAT != 0 else {
            let follows = how.flags & CK_O_NOFOLLOW == 0
            let entry = try walk.file(path, followLast: follows)
            return try openExisting(entry, how)
        }
        return try openOrCreate(try walk.parent(path), how, &walk)
    }

    /// O_CREAT: through symbolic links, unless O_EXCL or O_NOFOLLOW forbids it.
    private func openOrCreate(
        _ first: PathWalk.Parent, _ how: ck_open_how, _ walk: inout PathWalk
    ) throws(CallError) -> OpenDescription {
        var parent = first
        while true {
            guard case .name(let name) = parent.last else {
                try require(how.flags & CK_O_EXCL == 0, EEXIST)
                throw CallError(EISDIR)
            }
            try require(!parent.hasTrailingSlash, EISDIR)
            guard let entry = try walk.lookUp(name, in: parent.directory) else {
                return try create(name, in: parent.directory, how)
            }
            try require(how.flags & CK_O_EXCL == 0, EEXIST)
            guard entry.inode.type == CK_S_IFLNK, how.flags & CK_O_NOFOLLOW == 0 else {
                return try openExisting(entry, how)
            }
            guard let link = entry.inode as? SymbolicLink else {
                return try openExisting(try walk.following(entry, in: parent.directory), how)
            }
            try walk.noteFollowed()
            parent = try walk.parent(link.target, in: parent.directory)
        }
    }

    private func create(_ name: FileName, in directory: Directory, _ how: ck_open_how) throws(CallError)
        -> OpenDescription
    {
        try require(!directory.isRemoved && !(directory is DescriptorDirectory), ENOENT)
        try requireODirectAllowed(how.flags, CK_S_IFREG)
        let mode = CK_S_IFREG | UInt16(how.mode & 0o7777)
        let number = fileSystem.nextInodeNumber()
        let file = RegularFile(number: number, attributes: newAttributes(mode, in: directory), created: fileSystem.now)
        let entry = try fileSystem.addNew(file, name, in: directory)
        return RegularFileDescription(file, entry, flags: kept(how.flags), in: fileSystem)
    }

    /// O_TMPFILE.
    private func temporaryFile(in inode: Inode, _ how: ck_open_how) throws(CallError) -> OpenDescription {
        guard let directory = inode as? Directory else { throw CallError(ENOTDIR) }
        try require(!directory.isRemoved, ENOENT)
        try require(fileSystem.freeInodes > 0, ENOSPC)
        let number = fileSystem.nextInodeNumber()
        let mode = CK_S_IFREG | UInt16(how.mode & 0o7777)
        let file = RegularFile(number: number, attributes: newAttributes(mode, in: directory), created: fileSystem.now)
        file.isLinkable = how.flags & CK_O_EXCL == 0
        file.lastDataTransaction = fileSystem.begin()
        file.lastTransaction = file.lastDataTransaction
        fileSystem.addInode()
        let entry = DirectoryEntry(file, in: directory, name: Array("#\(number)".utf8))
        entry.isRemoved = true
        return RegularFileDescription(file, entry, flags: kept(how.flags), in: fileSystem)
    }

    private func openExisting(_ entry: DirectoryEntry, _ how: ck_open_how) throws(CallError) -> OpenDescription {
        let flags = how.flags
        let inode = entry.inode
        try require(flags & CK_O_DIRECTORY == 0 || inode is Directory, ENOTDIR)
        if flags & CK_O_PATH != 0 { return PlaceDescription(entry, flags: kept(flags), in: fileSystem) }
        switch inode {
        case is Directory:
            try require(flags & (CK_O_CREAT | CK_O_TRUNC) == 0 && flags & CK_O_ACCMODE == CK_O_RDONLY, EISDIR)
            try requireODirectAllowed(flags, CK_S_IFDIR)
            return PlaceDescription(entry, flags: kept(flags), in: fileSystem)
        case let file as RegularFile: return openRegular(file, entry, flags)
        case let file as SpecialFile: return try openSpecial(file, entry, flags)
        default: throw CallError(ELOOP)
        }
    }

    private func openRegular(_ file: RegularFile, _ entry: DirectoryEntry, _ flags: UInt64) -> OpenDescription {
        let description = RegularFileDescription(file, entry, flags: kept(flags), in: fileSystem)
        if flags & CK_O_TRUNC != 0 {
            fileSystem.truncate(file, to: 0)
            fileSystem.notify(entry, CK_IN_MODIFY)
        }
        return description
    }

    private func openSpecial(
        _ file: SpecialFile, _ entry: DirectoryEntry, _ flags: UInt64
    ) throws(CallError) -> OpenDescription {
        if file.type == CK_S_IFIFO {
            let opened = openFIFO(file, flags: kept(flags))
            guard let description = opened.description else { throw CallError(result: opened.result) }
            return description
        }
        try require(DeviceDescription.isKnown(file), ENXIO)
        try requireODirectAllowed(flags, CK_S_IFCHR)
        return DeviceDescription(file, entry, flags: kept(flags), in: fileSystem)
    }

    /// Only regular files have O_DIRECT here.
    private func requireODirectAllowed(_ flags: UInt64, _ type: UInt16) throws(CallError) {
        try require(flags & CK_O_DIRECT == 0 || type == CK_S_IFREG, EINVAL)
    }

    /// The flags that F_GETFL reports: not those of the creation.
    private func kept(_ flags: UInt64) -> UInt64 {
        flags & ~(CK_O_CREAT | CK_O_EXCL | CK_O_NOCTTY | CK_O_TRUNC | CK_O_CLOEXEC)
    }

    func newAttributes(_ mode: UInt16, in directory: Directory) -> InodeAttributes {
        var attributes = fileSystem.attributes(mode)
        // A directory with the set-group-ID bit passes its group on, and to directories the bit too (inode_init_owner).
        if directory.attributes.mode & 0o2000 != 0 {
            attributes.group = directory.attributes.group
            if mode & CK_S_IFMT == CK_S_IFDIR { attributes.mode |= 0o2000 }
        }
        attributes.inheritAccess(from: directory.attributes, umask: umask)
        return attributes
    }
}
