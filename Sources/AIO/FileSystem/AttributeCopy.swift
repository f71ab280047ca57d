internal import AIOCore
internal import CKernel

/// The extended attributes that belong to a file's content and its users' rights, for a worker to copy.
enum AttributeCopy {
    static var accessList: String { "system.posix_acl_access" }

    /// Copies those of `user.`, and the access control list. 0 or a negative errno.
    static func copy(from source: Int32, to target: Int32) -> Int {
        // Most files have none.
        let size = Kernel.flistxattr(source, nil, 0)
        guard size > 0 else { return size == -Int(EOPNOTSUPP) ? 0 : size }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * Int(CK_XATTR_SIZE_MAX), alignment: 1)
        defer { memory.deallocate() }
        let list = UnsafeMutableRawBufferPointer(rebasing: memory[..<Int(CK_XATTR_SIZE_MAX)])
        let value = UnsafeMutableRawBufferPointer(rebasing: memory[Int(CK_XATTR_SIZE_MAX)...])
        let listed = Kernel.flistxattr(source, list.baseAddress, list.count)
        guard listed >= 0 else { return listed }
        for name in list.prefix(listed).split(separator: 0) where isKept(name) {
            // Names and lists end with a NUL each.
            let result = copy(name.base.baseAddress! + name.startIndex, from: source, to: target, value)
            guard result >= 0 else { return result }
        }
        return 0
    }

    private static func copy(
        _ name: UnsafeRawPointer, from source: Int32, to target: Int32, _ value: UnsafeMutableRawBufferPointer
    ) -> Int {
        let name = name.assumingMemoryBound(to: CChar.self)
        let count = Kernel.fgetxattr(source, name, value.baseAddress!, value.count)
        // Somebody has removed it.
        guard count >= 0 else { return count == -Int(ENODATA) ? 0 : count }
        return Kernel.fsetxattr(target, name, value.baseAddress!, count, 0)
    }

    private static func isKept(_ name: Slice<UnsafeMutableRawBufferPointer>) -> Bool {
        name.starts(with: "user.".utf8) || name.elementsEqual(accessList.utf8)
    }
}
