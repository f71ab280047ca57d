internal import AIOCore
internal import CKernel

/// xattr(7). The namespaces are those that root has on ext4; access control lists are kept as bytes.
extension SimulatedKernel {
    func getAttribute(_ call: SystemCall) throws(CallError) -> Int {
        // The name is read before the file is looked up.
        let name = try attributeName(call.b)
        let inode = try subject(call).inode
        try checkNamespace(name, inode, writing: false)
        guard let value = inode.attributes.extended.first(where: { $0.name == name })?.value else {
            throw CallError(ENODATA)
        }
        return try fill(call.c, call.d, with: value)
    }

    func listAttributes(_ call: SystemCall) throws(CallError) -> Int {
        try fill(call.b, call.c, with: try subject(call).inode.attributes.extended.flatMap { $0.name + [0] })
    }

    /// The file of a call on extended attributes: by descriptor, or by a path whose last link is followed or not.
    private func subject(_ call: SystemCall) throws(CallError) -> DirectoryEntry {
        switch call.number {
        case CK_NR_fgetxattr, CK_NR_flistxattr, CK_NR_fsetxattr, CK_NR_fremovexattr:
            return try openFile(call.a).entry
        case CK_NR_lgetxattr, CK_NR_llistxattr, CK_NR_lsetxattr, CK_NR_lremovexattr:
            return try file(Int(CK_AT_FDCWD), call.a, flags: Int(CK_AT_SYMLINK_NOFOLLOW))
        default:
            return try file(Int(CK_AT_FDCWD), call.a, flags: 0)
        }
    }

    private func fill(_ buffer: Int, _ count: Int, with bytes: [UInt8]) throws(CallError) -> Int {
        guard count > 0 else { return bytes.count }
        try require(bytes.count <= count, ERANGE)
        guard !bytes.isEmpty else { return 0 }
        guard let start = UnsafeMutableRawPointer(bitPattern: buffer) else { throw CallError(EFAULT) }
        UnsafeMutableRawBufferPointer(start: start, count: bytes.count).copyBytes(from: bytes)
        return bytes.count
    }

    func setAttribute(_ call: SystemCall) throws(CallError) -> Int {
        let flags = Int32(truncatingIfNeeded: call.e)
        try require(flags & ~(CK_XATTR_CREATE | CK_XATTR_REPLACE) == 0, EINVAL)
        let name = try attributeName(call.b)
        try require(0...Int(CK_XATTR_SIZE_MAX) ~= call.d, E2BIG)
        let memory = UnsafeRawPointer(bitPattern: call.c)
        try require(call.d == 0 || memory != nil, EFAULT)
        let value = Array(UnsafeRawBufferPointer(start: memory, count: call.d))
        let entry = try subject(call)
        try checkNamespace(name, entry.inode, writing: true)
        let existing = entry.inode.attributes.extended.firstIndex { $0.name == name }
        try require(existing == nil || flags & CK_XATTR_CREATE == 0, EEXIST)
        try require(existing != nil || flags & CK_XATTR_REPLACE == 0, ENODATA)
        if Self.isList(name) { try checkList(value) }
        try checkRoom(entry.inode, name, value)
        change(entry) { extended in
            if let existing { extended[existing].value = value } else { extended.append((name, value)) }
        }
        return 0
    }

    func removeAttribute(_ call: SystemCall) throws(CallError) -> Int {
        let name = try attributeName(call.b)
        let entry = try subject(call)
        try checkNamespace(name, entry.inode, writing: true)
        let exists = entry.inode.attributes.extended.contains { $0.name == name }
        // Without an access control list there is nothing to do, which is reported all the same (vfs_remove_acl).
        guard exists || !Self.isList(name) else {
            fileSystem.notify(entry, CK_IN_ATTRIB)
            return 0
        }
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

    /// posix_acl_from_xattr: a version, and 8 bytes for each entry.
    private func checkList(_ value: [UInt8]) throws(CallError) {
        guard !value.isEmpty else { return }
        try require(value.count >= 4, EINVAL)
        try require(value[..<4].elementsEqual([2, 0, 0, 0]), EOPNOTSUPP)
        try require(value.count % 8 == 4, EINVAL)
    }

    /// ext4 keeps all attributes of a file in one block, and some in the inode.
    private func checkRoom(_ inode: Inode, _ name: FileName, _ value: [UInt8]) throws(CallError) {
        let others = inode.attributes.extended.filter { $0.name != name }
        let used = (others + [(name, value)]).reduce(0) { $0 + ($1.name.count + 19) & ~3 + ($1.value.count + 3) & ~3 }
        try require(used <= FilePage.size - 36, ENOSPC)
    }
}
