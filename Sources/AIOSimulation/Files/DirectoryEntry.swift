/// A name in a directory, as the kernel's dentry: it follows the file when it is renamed.
final class DirectoryEntry {
    /// The directory; it stays the last one when the name is removed.
    private(set) weak var parent: Directory?
    private(set) var name: FileName
    let inode: Inode
    /// Whether the name was removed.
    var isRemoved = false
    /// The number of open file descriptions that were opened by it.
    var openCount = 0

    init(_ inode: Inode, in parent: Directory?, name: FileName) {
        self.inode = inode
        self.parent = parent
        self.name = name
    }

    func move(to parent: Directory, name: FileName) {
        self.parent = parent
        self.name = name
    }

    /// The path from the root, as /proc/self/fd shows it.
    var path: [UInt8] {
        var names: [FileName] = isRemoved ? [name + Array(" (deleted)".utf8)] : [name]
        var directory = parent
        while let current = directory, let entry = current.entry {
            names.append(entry.name)
            directory = entry.parent
        }
        guard parent != nil else { return Array("/".utf8) }
        return names.reversed().flatMap { [UInt8(ascii: "/")] + $0 }
    }
}
