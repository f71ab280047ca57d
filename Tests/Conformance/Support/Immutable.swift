import CKernel

/// FS_IOC_SETFLAGS with FS_IMMUTABLE_FL.
enum Immutable {
    /// Returns false if the flag cannot be set.
    static func set(_ path: String, _ isImmutable: Bool) -> Bool {
        guard let descriptor = try? openDescriptor(path) else { return false }
        defer { closeDescriptor(descriptor) }
        var flags: Int = 0
        let asked = withUnsafeMutablePointer(to: &flags) {
            SystemCall.call(CK_NR_ioctl, Int(descriptor), 0x8008_6601, address($0))
        }
        guard asked == 0 else { return false }
        flags = isImmutable ? flags | 0x10 : flags & ~0x10
        return withUnsafePointer(to: &flags) {
            SystemCall.call(CK_NR_ioctl, Int(descriptor), 0x4008_6602, address($0))
        } == 0
    }
}
