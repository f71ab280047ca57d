internal import AIOCore

/// Extended attributes, xattr(7). With `followLinks` false, a call works on a symbolic link itself. File systems that
/// do not support a namespace fail with ``IOError/Code/notSupported``.
extension FileSystem {
    /// The value of an attribute; nil if the attribute does not exist. Kernel calls: getxattr(2), lgetxattr(2); a
    /// second call if the value is longer than 1 KiB.
    public static func extendedAttribute(
        _ name: AttributeName, of path: Path, followLinks: Bool = true, runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) -> [UInt8]? {
        let memory = try path.copyCString(for: "getxattr")
        defer { memory.deallocate() }
        return try await calls(memory, path, followLinks, runtime, deadline).get(name)
    }

    /// The names of all attributes that the caller may see, unordered. Kernel calls: listxattr(2), llistxattr(2).
    public static func extendedAttributes(
        of path: Path, followLinks: Bool = true, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> [AttributeName] {
        let memory = try path.copyCString(for: "listxattr")
        defer { memory.deallocate() }
        return try await calls(memory, path, followLinks, runtime, deadline).list()
    }

    /// Sets an attribute to a value of up to 64 KiB; a file system may allow less. Kernel calls: setxattr(2),
    /// lsetxattr(2).
    ///
    /// - Throws: ``IOError/Code/alreadyExists`` or `ENODATA` (``IOError/errno``) as `mode` says;
    ///   ``IOError/Code/noSpace`` or `E2BIG` for a value that is too large; ``IOError/Code/permissionDenied``;
    ///   ``IOError/Code/notSupported``.
    public static func setExtendedAttribute(
        _ name: AttributeName, to value: [UInt8], of path: Path, mode: AttributeMode = .createOrReplace,
        followLinks: Bool = true, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        let memory = try path.copyCString(for: "setxattr")
        defer { memory.deallocate() }
        try await calls(memory, path, followLinks, runtime, deadline).set(name, value, mode)
    }

    /// Removes an attribute. Kernel calls: removexattr(2), lremovexattr(2).
    ///
    /// - Throws: `ENODATA` (``IOError/errno``) if it does not exist; ``IOError/Code/permissionDenied``;
    ///   ``IOError/Code/notSupported``.
    public static func removeExtendedAttribute(
        _ name: AttributeName, of path: Path, followLinks: Bool = true, runtime: IORuntime = .shared,
        deadline: Deadline = .never
    ) async throws(IOError) {
        let memory = try path.copyCString(for: "removexattr")
        defer { memory.deallocate() }
        try await calls(memory, path, followLinks, runtime, deadline).remove(name)
    }

    private static func calls(
        _ memory: UnsafePointer<CChar>, _ path: Path, _ followLinks: Bool, _ runtime: IORuntime, _ deadline: Deadline
    ) -> AttributeCalls {
        AttributeCalls(target: .path(memory, followLinks: followLinks)) { operation, name throws(IOError) in
            try await runtime.perform(operation, deadline.nanoseconds, name, path).result
        }
    }
}

/// Extended attributes of an open file, xattr(7). File systems that do not support a namespace fail with
/// ``IOError/Code/notSupported``.
extension File {
    /// The value of an attribute; nil if the attribute does not exist. Kernel call: fgetxattr(2).
    public func extendedAttribute(
        _ name: AttributeName, deadline: Deadline = .never
    ) async throws(IOError) -> [UInt8]? {
        try await attributeCalls(deadline).get(name)
    }

    /// The names of all attributes that the caller may see, unordered. Kernel call: flistxattr(2).
    public func extendedAttributes(deadline: Deadline = .never) async throws(IOError) -> [AttributeName] {
        try await attributeCalls(deadline).list()
    }

    /// Sets an attribute to a value of up to 64 KiB; a file system may allow less. Kernel call: fsetxattr(2).
    ///
    /// - Throws: ``IOError/Code/alreadyExists`` or `ENODATA` (``IOError/errno``) as `mode` says;
    ///   ``IOError/Code/noSpace`` or `E2BIG` for a value that is too large; ``IOError/Code/permissionDenied``;
    ///   ``IOError/Code/notSupported``.
    public func setExtendedAttribute(
        _ name: AttributeName, to value: [UInt8], mode: AttributeMode = .createOrReplace, deadline: Deadline = .never
    ) async throws(IOError) {
        try await attributeCalls(deadline).set(name, value, mode)
    }

    /// Removes an attribute. Kernel call: fremovexattr(2).
    ///
    /// - Throws: `ENODATA` (``IOError/errno``) if it does not exist; ``IOError/Code/permissionDenied``;
    ///   ``IOError/Code/notSupported``.
    public func removeExtendedAttribute(
        _ name: AttributeName, deadline: Deadline = .never
    ) async throws(IOError) {
        try await attributeCalls(deadline).remove(name)
    }

    private func attributeCalls(_ deadline: Deadline) -> AttributeCalls {
        AttributeCalls(target: .descriptor(descriptor.number)) { operation, name throws(IOError) in
            try await self.perform(operation, deadline, name)
        }
    }
}
