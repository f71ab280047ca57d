internal import CKernel

/// Mounts a file system without a mount point: it exists while its descriptor, or a file on it, is open.
extension Kernel {
    /// fsopen(2), since 5.2: a descriptor for configuring a file system.
    public static func fsopen(_ fileSystem: UnsafePointer<CChar>, _ flags: UInt32) -> Int {
        call(CK_NR_fsopen, address(fileSystem), Int(flags))
    }

    /// fsconfig(2), since 5.2.
    public static func fsconfig(
        _ context: Int32, _ command: UInt32, _ key: UnsafePointer<CChar>?, _ value: UnsafePointer<CChar>?
    ) -> Int {
        call(CK_NR_fsconfig, Int(context), Int(command), address(key), address(value), 0)
    }

    /// fsmount(2), since 5.2: a descriptor of the new mount's root.
    public static func fsmount(_ context: Int32, _ flags: UInt32, _ attributes: UInt32) -> Int {
        call(CK_NR_fsmount, Int(context), Int(flags), Int(attributes))
    }
}
