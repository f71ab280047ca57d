/// One system call as a plain value, executed by a worker: calls without an io_uring opcode, and the calls on extended
/// attributes, for some of which newer rings have one (5.19).
///
/// Descriptors are plain numbers, never indices of registered files. Memory behind the pointers is borrowed until the
/// completion is drained. The value is no larger than a `Transfer`, which keeps `Operation` small: the fifth argument
/// has 32 bits, and no call here has a sixth.
public struct BlockingCall: BitwiseCopyable, @unchecked Sendable {
    // @unchecked: the pointers are handed over with the operation, as in `Operation`.

    /// Each case is named after its system call.
    public enum Kind: UInt8, BitwiseCopyable, Sendable {
        case readlinkat, fchmod, fchmodat2, fchown, fchownat, utimensat, statfs, fstatfs
        case getxattr, lgetxattr, fgetxattr, setxattr, lsetxattr, fsetxattr
        case listxattr, llistxattr, flistxattr, removexattr, lremovexattr, fremovexattr
        case lseek, getdents64, copyFileRange, ioctl, fcntl
    }

    /// The system call.
    public let kind: Kind
    let fifth: Int32
    let first: Int
    let second: Int
    let third: Int
    let fourth: Int

    init(_ kind: Kind, _ first: Int, _ second: Int = 0, _ third: Int = 0, _ fourth: Int = 0, _ fifth: Int32 = 0) {
        self.kind = kind
        self.first = first
        self.second = second
        self.third = third
        self.fourth = fourth
        self.fifth = fifth
    }

}

extension BlockingCall.Kind {
    /// The name of the system call.
    var name: StaticString {
        switch self {
        case .readlinkat: "readlinkat"
        case .fchmod: "fchmod"
        case .fchmodat2: "fchmodat2"
        case .fchown: "fchown"
        case .fchownat: "fchownat"
        case .utimensat: "utimensat"
        case .statfs: "statfs"
        case .fstatfs: "fstatfs"
        case .getxattr: "getxattr"
        case .lgetxattr: "lgetxattr"
        case .fgetxattr: "fgetxattr"
        case .setxattr: "setxattr"
        case .lsetxattr: "lsetxattr"
        case .fsetxattr: "fsetxattr"
        case .listxattr: "listxattr"
        case .llistxattr: "llistxattr"
        case .flistxattr: "flistxattr"
        case .removexattr: "removexattr"
        case .lremovexattr: "lremovexattr"
        case .fremovexattr: "fremovexattr"
        case .lseek: "lseek"
        case .getdents64: "getdents64"
        case .copyFileRange: "copyFileRange"
        case .ioctl: "ioctl"
        case .fcntl: "fcntl"
        }
    }
}
