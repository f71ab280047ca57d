internal import CKernel

/// An access control list (acl(5)), as its extended attribute holds it.
struct AccessList {
    private struct Entry {
        var tag: UInt16
        var rights: UInt16
        var identity: UInt32
    }

    private enum Tag {
        static let owner: UInt16 = 0x01
        static let user: UInt16 = 0x02
        static let owningGroup: UInt16 = 0x04
        static let group: UInt16 = 0x08
        static let mask: UInt16 = 0x10
        static let others: UInt16 = 0x20
    }

    static let accessName = FileName("system.posix_acl_access".utf8)
    static let defaultName = FileName("system.posix_acl_default".utf8)

    private var entries: [Entry] = []

    /// posix_acl_from_xattr: a version and 8 bytes for each entry. nil for none at all.
    init?(_ value: [UInt8]) throws(CallError) {
        guard !value.isEmpty else { return nil }
        guard value.count >= 4 else { throw CallError(EINVAL) }
        guard value[..<4].elementsEqual([2, 0, 0, 0]) else { throw CallError(EOPNOTSUPP) }
        guard value.count % 8 == 4 else { throw CallError(EINVAL) }
        guard value.count > 4 else { return nil }
        for start in stride(from: 4, to: value.count, by: 8) {
            func number(_ offset: Int, _ count: Int) -> UInt32 {
                (0..<count).reduce(0) { $0 | UInt32(value[start + offset + $1]) << ($1 * 8) }
            }
            entries.append(
                Entry(tag: UInt16(number(0, 2)), rights: UInt16(number(2, 2)), identity: number(4, 4)))
        }
        let known = [Tag.owner, Tag.user, Tag.owningGroup, Tag.group, Tag.mask, Tag.others]
        guard entries.allSatisfy({ known.contains($0.tag) }) else { throw CallError(EINVAL) }
    }

    /// posix_acl_valid: who must be in the list is, and in the order of the tags.
    var isValid: Bool {
        let tags = entries.map(\.tag)
        guard [Tag.owner, Tag.owningGroup, Tag.others].allSatisfy({ tag in tags.count { $0 == tag } == 1 }),
            tags == tags.sorted(), entries.allSatisfy({ $0.rights <= 7 })
        else { return false }
        let maskCount = tags.count { $0 == Tag.mask }
        let isExtended = tags.contains { $0 == Tag.user || $0 == Tag.group }
        return isExtended ? maskCount == 1 : maskCount <= 1
    }

    var bytes: [UInt8] {
        entries.reduce(into: [2, 0, 0, 0]) { bytes, entry in
            let word = UInt64(entry.tag) | UInt64(entry.rights) << 16 | UInt64(entry.identity) << 32
            bytes += (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }
        }
    }

    /// What it takes in ext4, which keeps no identity with entries that name nobody.
    var storedSize: Int { entries.reduce(4) { $0 + ($1.tag == Tag.user || $1.tag == Tag.group ? 8 : 4) } }

    /// Whether the permission bits say all of it (posix_acl_equiv_mode); such a list is not kept.
    var isMode: Bool { !entries.contains { [Tag.user, Tag.group, Tag.mask].contains($0.tag) } }

    /// The entry that the permission bits of the group stand for.
    private var groupTag: UInt16 { entries.contains { $0.tag == Tag.mask } ? Tag.mask : Tag.owningGroup }

    private func shift(of tag: UInt16) -> UInt16? {
        switch tag {
        case Tag.owner: 6
        case groupTag: 3
        case Tag.others: 0
        default: nil
        }
    }

    /// The permission bits, 0o777 at most.
    var permissions: UInt16 {
        entries.reduce(0) { bits, entry in shift(of: entry.tag).map { bits | entry.rights << $0 } ?? bits }
    }

    /// chmod(2) (posix_acl_chmod).
    mutating func setPermissions(_ mode: UInt16) {
        for index in entries.indices {
            if let shift = shift(of: entries[index].tag) { entries[index].rights = mode >> shift & 7 }
        }
    }

    /// As the default list of a directory, for a file that is made in it with `mode` (posix_acl_create).
    func forNewFile(_ mode: UInt16) -> AccessList {
        var list = self
        for index in entries.indices {
            if let shift = shift(of: entries[index].tag) { list.entries[index].rights &= mode >> shift & 7 }
        }
        return list
    }
}

extension InodeAttributes {
    func extended(_ name: FileName) -> [UInt8]? { extended.first { $0.name == name }?.value }

    /// Replaces an extended attribute in its place, adds it at the end, or with nil removes it.
    mutating func setExtended(_ name: FileName, _ value: [UInt8]?) {
        let index = extended.firstIndex { $0.name == name }
        switch (index, value) {
        case (let index?, let value?): extended[index].value = value
        case (let index?, nil): extended.remove(at: index)
        case (nil, let value?): extended.append((name, value))
        case (nil, nil): break
        }
    }

    /// Sets a list, which sets the permission bits as well; nil removes it, and leaves the bits.
    mutating func setAccessList(_ list: AccessList?) {
        if let list { mode = mode & ~0o777 | list.permissions }
        setExtended(AccessList.accessName, list.flatMap { $0.isMode ? nil : $0.bytes })
    }

    /// chmod(2): the list follows the permission bits. A list that is kept was checked when it was set.
    mutating func setPermissions(_ permissions: UInt16) {
        mode = mode & CK_S_IFMT | permissions
        guard let value = extended(AccessList.accessName), var list = try? AccessList(value) else { return }
        list.setPermissions(permissions)
        setExtended(AccessList.accessName, list.bytes)
    }

    /// Of a file that is made in a directory: the directory's default list stands in for the umask.
    mutating func inheritAccess(from directory: InodeAttributes, umask: UInt16) {
        guard mode & CK_S_IFMT != CK_S_IFLNK else { return }
        guard let value = directory.extended(AccessList.defaultName), let list = try? AccessList(value) else {
            mode &= ~umask
            return
        }
        setAccessList(list.forNewFile(mode))
        if mode & CK_S_IFMT == CK_S_IFDIR { setExtended(AccessList.defaultName, value) }
    }
}
