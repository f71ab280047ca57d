internal import AIOCore
internal import CKernel

/// A directory: names in an order that is neither that of creation nor that of the alphabet, as on ext4.
class Directory: Inode {
    /// Its own name, which the parent holds; nil for the root.
    weak var entry: DirectoryEntry?
    private var entries: [FileName: DirectoryEntry] = [:]
    /// The names by their position for getdents64(2), which never changes while the name exists.
    private var positions: [(position: Int64, name: FileName)] = []
    /// Whether rmdir(2) removed it: nothing can be created in it any more.
    var isRemoved = false

    /// The inodes that a name had since the last fsync of the directory, the durable one first; nil is no inode.
    var unsyncedNames: [FileName: [Inode?]] = [:]

    override var size: Int64 { 4096 }
    override var blockCount: Int { 1 }
    var isEmpty: Bool { entries.isEmpty }

    /// All names, in the order of their positions.
    var names: [FileName] { positions.map(\.name) }

    func lookUp(_ name: FileName) -> DirectoryEntry? { entries[name] }

    /// Gives the name to `new`, or to nothing. The callers change link counts, and record the change.
    func set(_ name: FileName, to new: DirectoryEntry?) {
        let old = entries[name]
        entries[name] = new
        if old == nil, new != nil {
            insertPosition(name)
        } else if old != nil, new == nil {
            removePosition(name)
        }
    }

    /// The entries behind a position; "." and ".." have 0 and 1.
    func entries(from position: Int64) -> ArraySlice<(position: Int64, name: FileName)> {
        positions[firstIndex(from: position)...]
    }

    private func insertPosition(_ name: FileName) {
        var position = firstPosition(of: name)
        var index = firstIndex(from: position)
        while index < positions.count, positions[index].position == position {
            position += 1
            index += 1
        }
        positions.insert((position, name), at: index)
    }

    private func removePosition(_ name: FileName) {
        let start = firstIndex(from: firstPosition(of: name))
        guard let index = positions[start...].firstIndex(where: { $0.name == name }) else { return }
        positions.remove(at: index)
    }

    /// Where a name belongs, or soon behind. FNV-1a, so that nothing depends on the process's own hash seed.
    private func firstPosition(of name: FileName) -> Int64 {
        var hash = number &* 0x9e37_79b9_7f4a_7c15 ^ 0xcbf2_9ce4_8422_2325
        for byte in name { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return Int64(hash >> 2) | 2
    }

    private func firstIndex(from position: Int64) -> Int {
        var (low, high) = (0, positions.count)
        while low < high {
            let middle = (low + high) / 2
            if positions[middle].position < position { low = middle + 1 } else { high = middle }
        }
        return low
    }

    override func survivor(_ attributes: InodeAttributes) -> Inode {
        Directory(number: number, attributes: attributes, created: created)
    }

    /// Whether this is `other` or in it.
    func isInside(_ other: Directory) -> Bool {
        var directory: Directory? = self
        while let current = directory {
            if current === other { return true }
            directory = current.entry?.parent
        }
        return false
    }
}

/// /proc/self/fd of the calling process.
final class DescriptorDirectory: Directory {
    override func survivor(_ attributes: InodeAttributes) -> Inode {
        DescriptorDirectory(number: number, attributes: attributes, created: created)
    }
}
