internal import AIOCore
internal import CKernel

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// Copies extended attributes from one file to another, on a worker's thread.
struct AttributeCopy {
    /// An open file, or a path whose last component is not followed if it is a symbolic link.
    private enum Place {
        case descriptor(Int32)
        case path(UnsafePointer<CChar>)
    }

    static var accessList: String { "system.posix_acl_access" }
    /// On directories only: files created in the directory inherit this list.
    static var defaultList: String { "system.posix_acl_default" }
    static var lists: [String] { [accessList, defaultList] }

    private let source: Place
    private let target: Place

    init(from source: Int32, to target: Int32) {
        (self.source, self.target) = (.descriptor(source), .descriptor(target))
    }

    /// The paths must outlive this value.
    init(fromPath source: UnsafePointer<CChar>, toPath target: UnsafePointer<CChar>) {
        (self.source, self.target) = (.path(source), .path(target))
    }

    /// Copies every attribute that can be copied. Like `cp -a` it skips what the target's file system does not support
    /// and what the caller may not set. Returns which access control lists were copied, and which could not be set on
    /// the target; `result` is 0, or the negative errno of any other failure, after which attributes may be missing.
    func copyWhatCanBe() -> (copied: [String], refused: [String], result: Int) {
        var (copied, refused): ([String], [String]) = ([], [])
        let result = forEachName { name, value in
            let result = copy(name, value)
            guard result >= 0 || isSkipped(result) else { return result }
            for list in Self.lists where list.withCString({ strcmp($0, name) == 0 }) {
                if result > 0 { copied.append(list) }
                if result < 0 { refused.append(list) }
            }
            return 0
        }
        return (copied, refused, isSkipped(result) ? 0 : result)
    }

    /// Whether an error means that the file system does not have such attributes, or not so large ones, or that the
    /// caller may not have them.
    private func isSkipped(_ result: Int) -> Bool {
        switch Int32(truncatingIfNeeded: -result) {
        case EOPNOTSUPP, ENOSYS, EPERM, EACCES, EINVAL, ENOSPC, EDQUOT, E2BIG, ERANGE, EROFS: true
        // A path leads through /proc, which a chroot may lack.
        case ENOENT, ENOTDIR: if case .path = source { true } else { false }
        default: false
        }
    }

    /// Whether the removal of an attribute failed because there is none.
    static func isWithout(_ result: Int) -> Bool {
        [-Int(ENODATA), -Int(EOPNOTSUPP), -Int(ENOSYS)].contains(result)
    }

    /// The group's permissions in the source's access control list, as three bits; nil if the list cannot be read.
    func groupPermissions() -> UInt32? {
        withMemory { memory -> Int in
            let count = Self.accessList.withCString { get($0, memory.baseAddress, memory.count) }
            guard count > 4 else { return -1 }
            // acl(5), xattr format: a version of four bytes, then entries of eight: tag, permissions, ID. 0x04 is
            // ACL_GROUP_OBJ, 0x10 is ACL_MASK.
            var (group, mask): (Int, Int) = (0, 7)
            for start in stride(from: 4, to: count - 7, by: 8) {
                let tag = memory.loadUnaligned(fromByteOffset: start, as: UInt16.self)
                let allowed = Int(memory.loadUnaligned(fromByteOffset: start + 2, as: UInt16.self) & 7)
                if tag == 0x04 { group = allowed }
                if tag == 0x10 { mask = allowed }
            }
            return group & mask
        }.nonNegative
    }

    /// Removes an attribute from the target.
    func remove(_ name: String) -> Int {
        name.withCString { name in
            switch target {
            case .descriptor(let number): Kernel.fremovexattr(number, name)
            case .path(let path): Kernel.lremovexattr(path, name)
            }
        }
    }

    /// Copies the attributes of the namespace `user.`. Returns 0 or a negative errno.
    func copyOfUser() -> Int {
        forEachName { name, value in strncmp(name, "user.", 5) == 0 ? min(copy(name, value), 0) : 0 }
    }

    /// Copies the access control list, which includes the permissions. Returns 1 if there is one, 0 if not, or a
    /// negative errno.
    func copyAccessList() -> Int {
        Self.accessList.withCString { name in
            // Most files have no list, and some file systems do not support them.
            let size = get(name, nil, 0)
            guard size > 0 else { return size == -Int(ENODATA) || size == -Int(EOPNOTSUPP) ? 0 : size }
            return withMemory { copy(name, $0) }
        }
    }

    /// Calls `body` with each name and a buffer for a value, until it returns a negative number.
    private func forEachName(_ body: (UnsafePointer<CChar>, UnsafeMutableRawBufferPointer) -> Int) -> Int {
        // Most files have no attributes, and some file systems do not support them.
        let size = list(nil, 0)
        guard size > 0 else { return size == -Int(EOPNOTSUPP) ? 0 : size }
        return withMemory { names in
            let listed = list(names.baseAddress, names.count)
            guard listed >= 0 else { return listed }
            return withMemory { value in
                // Each name ends with a NUL.
                for name in names.prefix(listed).split(separator: 0) {
                    let start = (name.base.baseAddress! + name.startIndex).assumingMemoryBound(to: CChar.self)
                    let result = body(start, value)
                    guard result >= 0 else { return result }
                }
                return 0
            }
        }
    }

    /// Returns 1, or 0 if the attribute does not exist (any more), or a negative errno.
    private func copy(_ name: UnsafePointer<CChar>, _ value: UnsafeMutableRawBufferPointer) -> Int {
        let count = get(name, value.baseAddress, value.count)
        guard count >= 0 else { return count == -Int(ENODATA) ? 0 : count }
        let result = set(name, value.baseAddress, count)
        return result == 0 ? 1 : result
    }

    /// Gives `body` a buffer of 64 KiB, the kernel's maximum for a value.
    private func withMemory(_ body: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(CK_XATTR_SIZE_MAX), alignment: 1)
        defer { memory.deallocate() }
        return body(memory)
    }

    // MARK: System calls

    private func list(_ memory: UnsafeMutableRawPointer?, _ count: Int) -> Int {
        switch source {
        case .descriptor(let number): Kernel.flistxattr(number, memory, count)
        case .path(let path): Kernel.llistxattr(path, memory, count)
        }
    }

    private func get(_ name: UnsafePointer<CChar>, _ value: UnsafeMutableRawPointer?, _ count: Int) -> Int {
        switch source {
        case .descriptor(let number): Kernel.fgetxattr(number, name, value, count)
        case .path(let path): Kernel.lgetxattr(path, name, value, count)
        }
    }

    private func set(_ name: UnsafePointer<CChar>, _ value: UnsafeRawPointer?, _ count: Int) -> Int {
        switch target {
        case .descriptor(let number): Kernel.fsetxattr(number, name, value, count)
        case .path(let path): Kernel.lsetxattr(path, name, value, count)
        }
    }
}

extension Int {
    fileprivate var nonNegative: UInt32? { self >= 0 ? UInt32(truncatingIfNeeded: self) : nil }
}
