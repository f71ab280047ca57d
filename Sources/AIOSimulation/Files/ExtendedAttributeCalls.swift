internal import AIOCore
internal import CKernel

/// xattr(7). The namespaces are those that root has on ext4; access control lists are kept as bytes.
extension SimulatedKernel {
    func getAttribute(_ inode: Inode, _ nameAddress: Int, _ buffer: Int, _ count: Int) throws(CallError) -> Int {
        let name = try attributeName(nameAddress)
        try checkNamespace(name, inode, writing: false)
        guard let value = inode.attributes.extended.first(where: { $0.name == name })?.value else {
            throw CallError(ENODATA)
        }
        return try fill(buffer, count, with: value)
    }

    func listAttributes(_ inode: Inode, _ buffer: Int, _ count: Int) throws(CallError) -> Int {
        try fill(buffer, count, with: inode.attributes.extended.flatMap { $0.name + [0] })
    }

    private func fill(_ buffer: Int, _ count: Int, with bytes: [UInt8]) throws(CallError) -> Int {
        guard count > 0 else { return bytes.count }
        try require(bytes.count <= count, ERANGE)
        guard !bytes.isEmpty else { return 0 }
        guard let start = UnsafeMutableRawPointer(bitPattern: buffer) else { throw CallError(EFAULT) }
        UnsafeMutableRawBufferPointer(start: start, count: bytes.count).copyBytes(from: bytes)
        return bytes.count
    }

    func setAttribute(
        _ entry: DirectoryEntry, _ nameAddress: Int, _ valueAddress: Int, _ count: Int, _ flags: Int
    ) throws(CallError) -> Int {
        let flags = Int32(truncatingIfNeeded: flags)
        try require(flags & ~(CK_XATTR_CREATE | CK_XATTR_REPLACE) == 0, EINVAL)
        let name = try attributeName(nameAddress)
        try require(count <= Int(CK_XATTR_SIZE_MAX), E2BIG)
        let memory = UnsafeRawPointer(bitPattern: valueAddress)
        try require(count == 0 || memory != nil, EFAULT)
        let value = Array(UnsafeRawBufferPointer(start: memory, count: count))
        try checkNamespace(name, entry.inode, writing: true)
        let existing = entry.inode.attributes.extended.firstIndex { $0.name == name }
        try require(existing == nil || flags & CK_XATTR_CREATE == 0, EEXIST)
        try require(existing != nil || flags & CK_XATTR_REPLACE == 0, ENODATA)
        try checkRoom(entry.inode, name, value)
        change(entry) { extended in
            if let existing { extended[existing].value = value } else { extended.append((name, value)) }
        }
        return 0
    }

    func removeAttribute(_ entry: DirectoryEntry, _ nameAddress: Int) throws(CallError) -> Int {
        let name = try attributeName(nameAddress)
        try checkNamespace(name, entry.inode, writing: true)
        let exists = entry.inode.attributes.extended.contains { $0.name == name }
        // Without an access control list there is nothing to do (ext4_set_acl).
        guard exists || !Self.isList(name) else { return 0 }
        try require(exists, ENODATA)
        change(entry) { extended in extended.removeAll { $0.name == name } }
        return 0
    }

    private func change(
        _ entry: DirectoryEntry, _ change: (inout [(name: FileName, value: [UInt8])]) -> Void
    ) {
        _ = fileSystem.begin()
        fileSystem.change(entry.inode) { attributes in
            change(&attributes.extended)
            attributes.changed = fileSystem.now
        }
        fileSystem.notify(entry, CK_IN_ATTRIB)
    }

    // MARK: Names

    /// import_xattr_name: a name has 1 to 255 bytes.
    private func attributeName(_ address: Int) throws(CallError) -> FileName {
        guard let start = UnsafePointer<UInt8>(bitPattern: address) else { throw CallError(EFAULT) }
        let count = (0..<256).first { start[$0] == 0 }
        guard let count, count > 0 else { throw CallError(ERANGE) }
        return Array(UnsafeBufferPointer(start: start, count: count))
    }

    private static func isList(_ name: FileName) -> Bool { name.starts(with: "system.posix_acl_".utf8) }

    private func checkNamespace(_ name: FileName, _ inode: Inode, writing: Bool) throws(CallError) {
        if name.starts(with: "user.".utf8) {
            // xattr_permission: only regular files and directories have them.
            let hasThem = inode is RegularFile || inode is Directory
            try require(hasThem, writing ? EPERM : ENODATA)
            try require(name.count > 5, EINVAL)
            return
        }
        if Self.isList(name) {
            try require(inode.type != CK_S_IFLNK, EOPNOTSUPP)
            let isAccess = name == Array("system.posix_acl_access".utf8)
            try require(isAccess || name == Array("system.posix_acl_default".utf8), EOPNOTSUPP)
            try require(isAccess || !writing || inode is Directory, EACCES)
            return
        }
        let prefix = ["trusted.", "security."].first { name.starts(with: $0.utf8) }
        guard let prefix else { throw CallError(EOPNOTSUPP) }
        try require(name.count > prefix.utf8.count, EINVAL)
    }

    /// ext4 keeps all attributes of a file in one block, and some in the inode.
    private func checkRoom(_ inode: Inode, _ name: FileName, _ value: [UInt8]) throws(CallError) {
        let others = inode.attributes.extended.filter { $0.name != name }
        let used = (others + [(name, value)]).reduce(0) { $0 + ($1.name.count + 19) & ~3 + ($1.value.count + 3) & ~3 }
        try require(used <= FilePage.size - 36, ENOSPC)
    }
}
