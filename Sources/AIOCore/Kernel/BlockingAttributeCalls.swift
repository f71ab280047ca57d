/// The calls on extended attributes, xattr(7). A value or list that does not fit completes with ERANGE; with a `count`
/// of 0 the call completes with its size.
extension BlockingCall {
    /// getxattr(2), or lgetxattr(2), which does not follow a symbolic link.
    public static func getAttribute(
        path: UnsafePointer<CChar>, followLinks: Bool, name: UnsafePointer<CChar>, value: UnsafeMutableRawPointer?,
        count: Int
    ) -> BlockingCall {
        BlockingCall(
            followLinks ? .getxattr : .lgetxattr, Kernel.address(path), Kernel.address(name), Kernel.address(value),
            count)
    }

    /// fgetxattr(2).
    public static func getAttribute(
        _ descriptor: Int32, name: UnsafePointer<CChar>, value: UnsafeMutableRawPointer?, count: Int
    ) -> BlockingCall {
        BlockingCall(.fgetxattr, Int(descriptor), Kernel.address(name), Kernel.address(value), count)
    }

    /// setxattr(2), or lsetxattr(2), which does not follow a symbolic link. `flags` are its XATTR_ flags.
    public static func setAttribute(
        path: UnsafePointer<CChar>, followLinks: Bool, name: UnsafePointer<CChar>, value: UnsafeRawPointer?,
        count: Int, flags: Int32
    ) -> BlockingCall {
        BlockingCall(
            followLinks ? .setxattr : .lsetxattr, Kernel.address(path), Kernel.address(name), Kernel.address(value),
            count, flags)
    }

    /// fsetxattr(2).
    public static func setAttribute(
        _ descriptor: Int32, name: UnsafePointer<CChar>, value: UnsafeRawPointer?, count: Int, flags: Int32
    ) -> BlockingCall {
        BlockingCall(.fsetxattr, Int(descriptor), Kernel.address(name), Kernel.address(value), count, flags)
    }

    /// listxattr(2), or llistxattr(2), which does not follow a symbolic link. Fills `list` with NUL-terminated names.
    public static func listAttributes(
        path: UnsafePointer<CChar>, followLinks: Bool, list: UnsafeMutableRawPointer?, count: Int
    ) -> BlockingCall {
        BlockingCall(followLinks ? .listxattr : .llistxattr, Kernel.address(path), Kernel.address(list), count)
    }

    /// flistxattr(2).
    public static func listAttributes(
        _ descriptor: Int32, list: UnsafeMutableRawPointer?, count: Int
    ) -> BlockingCall {
        BlockingCall(.flistxattr, Int(descriptor), Kernel.address(list), count)
    }

    /// removexattr(2), or lremovexattr(2), which does not follow a symbolic link.
    public static func removeAttribute(
        path: UnsafePointer<CChar>, followLinks: Bool, name: UnsafePointer<CChar>
    ) -> BlockingCall {
        BlockingCall(followLinks ? .removexattr : .lremovexattr, Kernel.address(path), Kernel.address(name))
    }

    /// fremovexattr(2).
    public static func removeAttribute(_ descriptor: Int32, name: UnsafePointer<CChar>) -> BlockingCall {
        BlockingCall(.fremovexattr, Int(descriptor), Kernel.address(name))
    }
}
