internal import AIOCore
internal import CKernel

/// The extended attributes that belong to a file's content and its users' rights, for a worker to copy.
enum AttributeCopy {
    static var accessList: String { "system.posix_acl_access" }

    /// Copies those of `user.`. 0 or a negative errno.
    static func copyUserAttributes(from source: Int32, to target: Int32) -> Int {
        // Most files have none.
        let size = Kernel.flistxattr(source, nil, 0)
        guard size > 0 else { return size == -Int(EOPNOTSUPP) ? 0 : size }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * Int(CK_XATTR_SIZE_MAX), alignment: 1)
        defer { memory.deallocate() }
        let list = UnsafeMutableRawBufferPointer(rebasing: memory[..<Int(CK_XATTR_SIZE_MAX)])
        let value = UnsafeMutableRawBufferPointer(rebasing: memory[Int(CK_XATTR_SIZE_MAX)...])
        let listed = Kernel.flistxattr(source, list.baseAddress, list.count)
        guard listed >= 0 else { return listed }
        for name in list.prefix(listed).split(separator: 0) where name.starts(with: "user.".utf8) {
            // Each name ends with a NUL.
            let start = (name.base.baseAddress! + name.startIndex).assumingMemoryBound(to: CChar.self)
            let result = copy(start, from: source, to: target, value)
            guard result >= 0 else { return result }
        }
        return 0
    }

    /// Copies the access control list, and with it the permissions. 1 if there is one, 0, or a negative errno.
    static func copyAccessList(from source: Int32, to target: Int32) -> Int {
        accessList.withCString { name in
            var none: UInt8 = 0
            // Most files have none, and some file systems know of none.
            let size = Kernel.fgetxattr(source, name, &none, 0)
            guard size > 0 else { return size == -Int(ENODATA) || size == -Int(EOPNOTSUPP) ? 0 : size }
            let value = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(CK_XATTR_SIZE_MAX), alignment: 1)
            defer { value.deallocate() }
            return copy(name, from: source, to: target, value)
        }
    }

    /// 1, or 0 if there is no such attribute (any more), or a negative errno.
    private static func copy(
        _ name: UnsafePointer<CChar>, from source: Int32, to target: Int32, _ value: UnsafeMutableRawBufferPointer
    ) -> Int {
        let count = Kernel.fgetxattr(source, name, value.baseAddress!, value.count)
        guard count >= 0 else { return count == -Int(ENODATA) ? 0 : count }
        let result = Kernel.fsetxattr(target, name, value.baseAddress!, count, 0)
        return result == 0 ? 1 : result
    }
}
