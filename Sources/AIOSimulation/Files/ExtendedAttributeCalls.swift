internal import AIOCore
internal import CKernel

/// xattr(7). The namespaces are those that root has on ext4.
extension SimulatedKernel {
    func getAttribute(_ call: SystemCall) throws(CallError) -> Int {
        // The name is read before the file is looked up.
        let name = try attributeName(call.b)
        let inode = try subject(call).inode
        try checkNamespace(name, inode, writing: false)
        guard let value = inode.attributes.extended(name) else { throw CallError(ENODATA) }
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
        guard !Self.isList(name) else { return try setList(name, entry, AccessList(value)) }
        let exists = entry.inode.attributes.extended(name) != nil
        try require(!exists || flags & CK_XATTR_CREATE == 0, EEXIST)
        try require(exists || flags & CK_XATTR_REPLACE == 0, ENODATA)
        try checkRoom(entry.inode, name, value.count)
        change(entry) { $0.setExtended(name, value) }
        return 0
    }

    /// vfs_set_acl, which heeds no flags: sets a list, or with nil removes it.
    private func setList(_ name: FileName, _ entry: DirectoryEntry, _ list: AccessList?) throws(CallError) -> Int {
        let isAccess = name == AccessList.accessName
        if let list {
            try require(isAccess || entry.inode is Directory, EACCES)
            try require(list.isValid, EINVAL)
            try checkRoom(entry.inode, name, list.storedSize)
        }
        change(entry) { attributes in
            if isAccess { attributes.setAccessList(list) } else { attributes.setExtended(name, list?.bytes) }
        }
        return 0
    }

    func removeAttribute(_ call: SystemCall) throws(CallError) -> Int {
        let name = try attributeName(call.b)
        let entry = try subject(call)
        try checkNamespace(name, entry.inode, writing: true)
        let exists = entry.inode.attributes.extended(name) != nil
        // Without an access control list there is nothing to do, which is reported all the same (vfs_remove_acl).
        guard exists || !Self.isList(name) else {
            fileSystem.notify(entry, CK_IN_ATTRIB)
            return 0
        }
        try require(exists, ENODATA)
        change(entry) { $0.setExtended(name, nil) }
        return 0
    }

    private func change(_ entry: DirectoryEntry, _ change: (inout InodeAttributes) -> Void) {
        _ = fileSystem.begin()
        fileSystem.change(entry.inode) { attributes in
            change(&attributes)
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
            try require(name == AccessList.accessName || name == AccessList.defaultName, EOPNOTSUPP)
            return
        }
        let prefix = ["trusted.", "security."].first { name.starts(with: $0.utf8) }
        guard let prefix else { throw CallError(EOPNOTSUPP) }
        try require(name.count > prefix.utf8.count, EINVAL)
    }

    /// ext4 keeps all attributes of a file in one block, and some in the inode.
    private func checkRoom(_ inode: Inode, _ name: FileName, _ size: Int) throws(CallError) {
        let others = inode.attributes.extended.filter { $0.name != name }
        let used = (others.map { ($0.name, $0.value.count) } + [(name, size)]).reduce(0) { used, attribute in
            used + (attribute.0.count + 19) & ~3 + (attribute.1 + 3) & ~3
        }
        try require(used <= FilePage.size - 36, ENOSPC)
    }
}
