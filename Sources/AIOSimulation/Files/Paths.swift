internal import AIOCore
internal import CKernel

/// The arguments of calls on paths.
extension SimulatedKernel {
    /// The bytes of a path, as getname(): no longer than PATH_MAX with its NUL.
    func path(_ address: Int) throws(CallError) -> [UInt8] {
        guard let start = UnsafePointer<UInt8>(bitPattern: address) else { throw CallError(EFAULT) }
        var count = 0
        while start[count] != 0 {
            count += 1
            try require(count < 4096, ENAMETOOLONG)
        }
        return Array(UnsafeBufferPointer(start: start, count: count))
    }

    /// A walk for a path that is relative to a descriptor or to the working directory.
    func walk(_ descriptor: Int, _ path: [UInt8], resolve: UInt64 = 0) throws(CallError) -> PathWalk {
        PathWalk(
            root: fileSystem.root, start: try startOfWalk(descriptor, path, resolve), descriptors: descriptors,
            resolve: resolve)
    }

    private func startOfWalk(_ descriptor: Int, _ path: [UInt8], _ resolve: UInt64) throws(CallError) -> Directory {
        let isRelative = path.first != UInt8(ascii: "/") || resolve & CK_RESOLVE_IN_ROOT != 0
        guard isRelative, Int32(truncatingIfNeeded: descriptor) != CK_AT_FDCWD else { return workingDirectory }
        guard let description = descriptors[descriptor] else { throw CallError(EBADF) }
        guard let directory = (description as? FileDescription)?.inode as? Directory else { throw CallError(ENOTDIR) }
        return directory
    }

    /// The file that a path leads to; with AT_EMPTY_PATH and an empty or no path the descriptor's own.
    func file(_ descriptor: Int, _ address: Int, flags: Int) throws(CallError) -> DirectoryEntry {
        let mayBeEmpty = flags & Int(CK_AT_EMPTY_PATH) != 0
        let path = mayBeEmpty && address == 0 ? [] : try path(address)
        if path.isEmpty, mayBeEmpty {
            if Int32(truncatingIfNeeded: descriptor) == CK_AT_FDCWD { return PathWalk.entry(of: workingDirectory) }
            return try openFile(descriptor, evenPathOnly: true).entry
        }
        var walk = try walk(descriptor, path)
        return try walk.file(path, followLast: flags & Int(CK_AT_SYMLINK_NOFOLLOW) == 0)
    }

    /// The open file of a descriptor. EBADF for one with O_PATH unless it is enough.
    func openFile(_ descriptor: Int, evenPathOnly: Bool = false) throws(CallError) -> FileDescription {
        guard let description = descriptors[descriptor] else { throw CallError(EBADF) }
        // A stream has no inode here.
        guard let file = description as? FileDescription else { throw CallError(EINVAL) }
        try require(evenPathOnly || !file.isPathOnly, EBADF)
        return file
    }

    /// The place for a new name. EEXIST if something has the name, or it is none.
    func newName(_ descriptor: Int, _ path: [UInt8], forDirectory: Bool) throws(CallError) -> (Directory, FileName) {
        var walk = try walk(descriptor, path)
        let parent = try walk.parent(path)
        guard case .name(let name) = parent.last else { throw CallError(EEXIST) }
        try require(try walk.lookUp(name, in: parent.directory) == nil, EEXIST)
        try require(forDirectory || !parent.hasTrailingSlash, ENOENT)
        try require(!parent.directory.isRemoved && !(parent.directory is DescriptorDirectory), ENOENT)
        return (parent.directory, name)
    }
}
