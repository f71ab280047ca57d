internal import AIOCore
internal import CKernel

/// Where a path leads (path_resolution(7)).
struct PathWalk {
    /// The RESOLVE_ flags of openat2(2).
    var resolve: UInt64 = 0
    let root: Directory
    /// The process's descriptors, for /proc/self/fd.
    let descriptors: DescriptorTable
    private var start: Directory
    private var followedCount = 0

    /// The last component of a path.
    enum LastComponent: Equatable {
        case name(FileName)
        case dot, dotDot
        /// The path is "/".
        case root
    }

    /// A path's last component, and the directory that it is in.
    struct Parent {
        let directory: Directory
        let last: LastComponent
        let hasTrailingSlash: Bool
    }

    init(root: Directory, start: Directory, descriptors: DescriptorTable, resolve: UInt64 = 0) {
        self.root = root
        self.start = start
        self.descriptors = descriptors
        self.resolve = resolve
    }

    /// Resolves all but the last component.
    mutating func parent(_ path: [UInt8]) throws(CallError) -> Parent {
        try require(!path.isEmpty, ENOENT)
        var names = Self.components(path)
        let hasTrailingSlash = path.last == UInt8(ascii: "/")
        guard let last = names.popLast() else {
            return Parent(directory: try beginning(path), last: .root, hasTrailingSlash: false)
        }
        let found = try walk(from: try beginning(path), names)
        guard let directory = found.inode as? Directory else { throw CallError(ENOTDIR) }
        return Parent(directory: directory, last: Self.lastComponent(last), hasTrailingSlash: hasTrailingSlash)
    }

    /// Resolves the whole path to an existing file.
    mutating func file(_ path: [UInt8], followLast: Bool) throws(CallError) -> DirectoryEntry {
        try require(!path.isEmpty, ENOENT)
        let parent = try parent(path)
        guard case .name(let name) = parent.last else { return try other(parent) }
        let follow = followLast || parent.hasTrailingSlash
        guard let entry = try lookUp(name, in: parent.directory) else { throw CallError(ENOENT) }
        let found = follow ? try following(entry, in: parent.directory) : entry
        try require(!parent.hasTrailingSlash || found.inode is Directory, ENOTDIR)
        return found
    }

    /// What "/", "." and ".." name.
    func other(_ parent: Parent) throws(CallError) -> DirectoryEntry {
        let directory = parent.last == .dotDot ? try above(parent.directory) : parent.directory
        return Self.entry(of: directory)
    }

    /// Follows an entry that may be a symbolic link. For a link without a target it throws ENOENT.
    mutating func following(_ entry: DirectoryEntry, in directory: Directory) throws(CallError) -> DirectoryEntry {
        guard entry.inode.type == CK_S_IFLNK else { return entry }
        try noteFollowed()
        if let link = entry.inode as? DescriptorLink { return try target(of: link) }
        guard let link = entry.inode as? SymbolicLink else { return entry }
        let parent = try parent(link.target, in: directory)
        guard case .name(let name) = parent.last else { return try other(parent) }
        guard let next = try lookUp(name, in: parent.directory) else { throw CallError(ENOENT) }
        let found = try following(next, in: parent.directory)
        try require(!parent.hasTrailingSlash || found.inode is Directory, ENOTDIR)
        return found
    }

    /// The directory and the last component of a link's target.
    mutating func parent(_ target: [UInt8], in directory: Directory) throws(CallError) -> Parent {
        let old = start
        let startOfLink = target.first == UInt8(ascii: "/") ? old : directory
        if target.first == UInt8(ascii: "/") { try require(resolve & CK_RESOLVE_BENEATH == 0, EXDEV) }
        var names = Self.components(target)
        let first = target.first == UInt8(ascii: "/") ? absoluteStart : startOfLink
        guard let last = names.popLast() else {
            return Parent(directory: first, last: .root, hasTrailingSlash: false)
        }
        guard let folder = try walk(from: first, names).inode as? Directory else { throw CallError(ENOTDIR) }
        return Parent(
            directory: folder, last: Self.lastComponent(last), hasTrailingSlash: target.last == UInt8(ascii: "/"))
    }

    mutating func noteFollowed() throws(CallError) {
        followedCount += 1
        // MAXSYMLINKS of the kernel.
        try require(followedCount <= 40 && resolve & CK_RESOLVE_NO_SYMLINKS == 0, ELOOP)
    }

    func lookUp(_ name: FileName, in directory: Directory) throws(CallError) -> DirectoryEntry? {
        try require(name.count <= 255, ENAMETOOLONG)
        guard directory is DescriptorDirectory else { return directory.lookUp(name) }
        guard let number = Int(String(decoding: name, as: UTF8.self)), let description = descriptors[number] else {
            return nil
        }
        return DirectoryEntry(DescriptorLink(description, number: UInt64(number)), in: directory, name: name)
    }

    // MARK: Steps

    private var absoluteStart: Directory { resolve & CK_RESOLVE_IN_ROOT != 0 ? start : root }

    private func beginning(_ path: [UInt8]) throws(CallError) -> Directory {
        guard path.first == UInt8(ascii: "/") else { return start }
        try require(resolve & CK_RESOLVE_BENEATH == 0, EXDEV)
        return absoluteStart
    }

    /// Follows all components, the links among them too.
    private mutating func walk(from first: Directory, _ names: [FileName]) throws(CallError) -> DirectoryEntry {
        var current = Self.entry(of: first)
        for name in names {
            guard let directory = current.inode as? Directory else { throw CallError(ENOTDIR) }
            switch Self.lastComponent(name) {
            case .dot, .root: break
            case .dotDot: current = Self.entry(of: try above(directory))
            case .name:
                guard let entry = try lookUp(name, in: directory) else { throw CallError(ENOENT) }
                current = try following(entry, in: directory)
            }
        }
        return current
    }

    private func above(_ directory: Directory) throws(CallError) -> Directory {
        if directory === start {
            try require(resolve & CK_RESOLVE_BENEATH == 0, EXDEV)
            if resolve & CK_RESOLVE_IN_ROOT != 0 { return directory }
        }
        guard directory !== root else { return root }
        guard let parent = directory.entry?.parent else { throw CallError(ENOENT) }
        return parent
    }

    private func target(of link: DescriptorLink) throws(CallError) -> DirectoryEntry {
        try require(resolve & (CK_RESOLVE_NO_MAGICLINKS | CK_RESOLVE_NO_SYMLINKS) == 0, ELOOP)
        try require(resolve & (CK_RESOLVE_BENEATH | CK_RESOLVE_IN_ROOT) == 0, EXDEV)
        // Sockets and the like cannot be opened by a path.
        guard let file = link.description as? FileDescription else { throw CallError(ENXIO) }
        return file.entry
    }

    // MARK: Components

    static func entry(of directory: Directory) -> DirectoryEntry {
        directory.entry ?? DirectoryEntry(directory, in: nil, name: [])
    }

    private static func components(_ path: [UInt8]) -> [FileName] {
        path.split(separator: UInt8(ascii: "/")).map(Array.init)
    }

    private static func lastComponent(_ name: FileName) -> LastComponent {
        switch name {
        case [UInt8(ascii: ".")]: .dot
        case [UInt8(ascii: "."), UInt8(ascii: ".")]: .dotDot
        default: .name(name)
        }
    }
}
