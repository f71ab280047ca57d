internal import AIOCore
internal import CKernel

extension SimulatedKernel {
    /// Answers calls on files and names; nil for others.
    func answerFileCall(_ call: SystemCall) -> Int? {
        do throws(CallError) {
            if let result = try nameCall(call) { return result }
            if let result = try contentCall(call) { return result }
            if let result = try attributeCall(call) { return result }
            return try transfer(call)
        } catch {
            return error.result
        }
    }

    private func nameCall(_ call: SystemCall) throws(CallError) -> Int? {
        switch call.number {
        case CK_NR_openat2: return try open(call.a, call.b, call.c, call.d)
        case CK_NR_close: return descriptors.remove(call.a)
        case CK_NR_mkdirat: return try makeDirectory(call.a, call.b, call.c)
        case CK_NR_mknodat: return try makeNode(call.a, call.b, call.c, call.d)
        case CK_NR_unlinkat: return try unlink(call.a, call.b, call.c)
        case CK_NR_renameat2: return try rename(call.a, call.b, call.c, call.d, call.e)
        case CK_NR_linkat: return try makeLink(call.a, call.b, call.c, call.d, call.e)
        case CK_NR_symlinkat: return try makeSymbolicLink(call.a, call.b, call.c)
        case CK_NR_readlinkat: return try readLink(call.a, call.b, call.c, call.d)
        case CK_NR_inotify_init1: return try changeDescriptor(call.a)
        case CK_NR_inotify_add_watch: return try addWatch(call.a, call.b, call.c)
        default: return nil
        }
    }

    private func contentCall(_ call: SystemCall) throws(CallError) -> Int? {
        switch call.number {
        case CK_NR_ftruncate: return try truncate(call.a, call.b)
        case CK_NR_fallocate: return try allocate(call.a, call.b, call.c, call.d)
        case CK_NR_copy_file_range: return try copyRange(call)
        case CK_NR_fsync: return try sync(call.a, .full)
        case CK_NR_fdatasync: return try sync(call.a, .data)
        case CK_NR_sync_file_range: return try syncRange(call.a, call.b, call.c, call.d)
        case CK_NR_fadvise64: return try advise(call.a, call.b, call.c, call.d)
        case CK_NR_readahead: return try readAhead(call.a, call.b, call.c)
        case CK_NR_cachestat: return try cacheStatus(call.a, call.b, call.c, call.d)
        case CK_NR_lseek: return try seek(call.a, call.b, call.c)
        case CK_NR_getdents64: return try readEntries(call.a, call.b, call.c)
        case CK_NR_fcntl: return try control(call.a, call.b, call.c)
        case CK_NR_dup3: return try duplicate(call.a, to: call.b, call.c)
        case CK_NR_ioctl: return try ioctl(call.a, call.b, call.c)
        case LibraryCall.umask:
            defer { umask = UInt16(truncatingIfNeeded: call.a) & 0o777 }
            return Int(umask)
        case CK_NR_prlimit64: return try limit(call.b, call.c, call.d)
        default: return nil
        }
    }

    private func attributeCall(_ call: SystemCall) throws(CallError) -> Int? {
        switch call.number {
        case CK_NR_statx: return try status(call)
        case CK_NR_statfs: return try fileSystemStatus(path: call.a, call.b)
        case CK_NR_fstatfs: return try fileSystemStatus(call.a, call.b)
        case CK_NR_fchmod: return try changeMode(try openFile(call.a).entry, call.b)
        case CK_NR_fchmodat: return try changeMode(try file(call.a, call.b, flags: 0), call.c)
        case CK_NR_fchmodat2:
            try requireLookupFlags(call.d)
            return try changeMode(try file(call.a, call.b, flags: call.d), call.c)
        case CK_NR_fchown: return changeOwner(try openFile(call.a).entry, call.b, call.c)
        case CK_NR_fchownat:
            try requireLookupFlags(call.e)
            return changeOwner(try file(call.a, call.b, flags: call.e), call.c, call.d)
        case CK_NR_utimensat: return try setTimes(call.a, call.b, call.c, call.d)
        default: return try extendedAttributeCall(call)
        }
    }

    private func requireLookupFlags(_ flags: Int) throws(CallError) {
        try require(flags & ~Int(CK_AT_SYMLINK_NOFOLLOW | CK_AT_EMPTY_PATH) == 0, EINVAL)
    }

    private func extendedAttributeCall(_ call: SystemCall) throws(CallError) -> Int? {
        switch call.number {
        case CK_NR_getxattr, CK_NR_lgetxattr, CK_NR_fgetxattr:
            return try getAttribute(call)
        case CK_NR_listxattr, CK_NR_llistxattr, CK_NR_flistxattr:
            return try listAttributes(call)
        case CK_NR_setxattr, CK_NR_lsetxattr, CK_NR_fsetxattr:
            return try setAttribute(call)
        case CK_NR_removexattr, CK_NR_lremovexattr, CK_NR_fremovexattr:
            return try removeAttribute(call)
        default: return nil
        }
    }

    private func seek(_ descriptor: Int, _ offset: Int, _ from: Int) throws(CallError) -> Int {
        guard let open = descriptors[descriptor] else { throw CallError(EBADF) }
        if (open as? StreamDescription)?.ignoresSeeks ?? false { return 0 }
        guard let file = open as? FileDescription else { throw CallError(ESPIPE) }
        try require(!file.isPathOnly, EBADF)
        return Int(try file.seek(Int64(offset), Int32(truncatingIfNeeded: from)))
    }

    private func readEntries(_ descriptor: Int, _ buffer: Int, _ count: Int) throws(CallError) -> Int {
        guard let open = descriptors[descriptor] else { throw CallError(EBADF) }
        guard let folder = open as? PlaceDescription else { throw CallError(ENOTDIR) }
        try require(!folder.isPathOnly, EBADF)
        let start = UnsafeMutableRawPointer(bitPattern: buffer)
        try require(start != nil || count == 0, EFAULT)
        let memory = UnsafeMutableRawBufferPointer(start: start, count: count)
        if folder.inode is DescriptorDirectory { return try readDescriptors(folder, memory) }
        return try folder.readEntries(memory)
    }

    /// The entries of /proc/self/fd. Which numbers are open may change between two calls, so the position is a number.
    private func readDescriptors(
        _ folder: PlaceDescription, _ memory: UnsafeMutableRawBufferPointer
    ) throws(CallError) -> Int {
        let listing = Directory(
            number: folder.inode.number, attributes: folder.inode.attributes, created: folder.inode.created)
        for number in descriptors.numbers {
            guard let description = descriptors[Int(number)] else { continue }
            let name = FileName(String(number).utf8)
            let link = DescriptorLink(description, number: UInt64(number))
            listing.set(name, to: DirectoryEntry(link, in: listing, name: name))
        }
        return try folder.readEntries(of: listing, memory)
    }
}
