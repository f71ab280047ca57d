internal import CKernel

/// One system call as a value, for a worker to carry out: what rings do not have, but for some of the calls on extended
/// attributes.
///
/// It names descriptors by their number, never by their index among the registered ones. Pointers in it are borrowed
/// until the completion is drained. It is as large as a `Transfer`, so that operations are no larger for it: the fifth
/// argument has 32 bits, and no call here has a sixth.
public struct BlockingCall: BitwiseCopyable, @unchecked Sendable {
    // @unchecked: the pointers are handed over with the operation, as in `Operation`.

    /// Named as the system calls are.
    public enum Kind: UInt8, BitwiseCopyable, Sendable {
        case readlinkat, fchmod, fchmodat2, fchown, fchownat, utimensat, statfs, fstatfs
        case getxattr, lgetxattr, fgetxattr, setxattr, lsetxattr, fsetxattr
        case listxattr, llistxattr, flistxattr, removexattr, lremovexattr, fremovexattr
        case lseek, getdents64, copyFileRange, ioctl, fcntl
    }

    public let kind: Kind
    private let fifth: Int32
    private let first: Int
    private let second: Int
    private let third: Int
    private let fourth: Int

    init(_ kind: Kind, _ first: Int, _ second: Int = 0, _ third: Int = 0, _ fourth: Int = 0, _ fifth: Int32 = 0) {
        self.kind = kind
        self.first = first
        self.second = second
        self.third = third
        self.fourth = fourth
        self.fifth = fifth
    }

    /// Makes the call on this thread, which may block: workers only.
    func blockingResult() -> Int {
        let result = Kernel.call(kind.number, first, second, third, fourth, Int(fifth))
        switch kind {
        case .lseek:
            // An offset is more than a completion can hold.
            guard result >= 0, let position = UnsafeMutablePointer<Int64>(bitPattern: fourth) else { return result }
            position.pointee = Int64(result)
            return 0
        case .fchmodat2 where result == -Int(ENOSYS) && fourth == 0:
            // Before 6.6. What it was made for, not to follow a symbolic link, fchmodat(2) cannot do.
            return Kernel.call(CK_NR_fchmodat, first, second, third)
        default:
            return result
        }
    }
}

extension BlockingCall {
    /// A call that rings have since 5.19. It follows symbolic links; those that do not are for workers.
    struct RingForm {
        var opcode: UInt8
        /// -1 if it is on a path.
        var descriptor: Int32 = -1
        var path: UInt64 = 0
        var name: UInt64
        var value: UInt64
        var count: UInt32
        var flags: UInt32
    }

    var ringForm: RingForm? {
        let opcode: UInt8
        switch kind {
        case .getxattr: opcode = CK_URING_OP_GETXATTR
        case .fgetxattr: opcode = CK_URING_OP_FGETXATTR
        case .setxattr: opcode = CK_URING_OP_SETXATTR
        case .fsetxattr: opcode = CK_URING_OP_FSETXATTR
        default: return nil
        }
        // A length that does not fit is for the system call to refuse.
        guard let count = UInt32(exactly: fourth) else { return nil }
        var form = RingForm(
            opcode: opcode, name: UInt64(bitPattern: Int64(second)), value: UInt64(bitPattern: Int64(third)),
            count: count, flags: UInt32(bitPattern: fifth))
        if kind == .fgetxattr || kind == .fsetxattr {
            form.descriptor = Int32(truncatingIfNeeded: first)
        } else {
            form.path = UInt64(bitPattern: Int64(first))
        }
        return form
    }
}

extension BlockingCall.Kind {
    fileprivate var number: Int {
        switch self {
        case .readlinkat: CK_NR_readlinkat
        case .fchmod: CK_NR_fchmod
        case .fchmodat2: CK_NR_fchmodat2
        case .fchown: CK_NR_fchown
        case .fchownat: CK_NR_fchownat
        case .utimensat: CK_NR_utimensat
        case .statfs: CK_NR_statfs
        case .fstatfs: CK_NR_fstatfs
        case .getxattr: CK_NR_getxattr
        case .lgetxattr: CK_NR_lgetxattr
        case .fgetxattr: CK_NR_fgetxattr
        case .setxattr: CK_NR_setxattr
        case .lsetxattr: CK_NR_lsetxattr
        case .fsetxattr: CK_NR_fsetxattr
        case .listxattr: CK_NR_listxattr
        case .llistxattr: CK_NR_llistxattr
        case .flistxattr: CK_NR_flistxattr
        case .removexattr: CK_NR_removexattr
        case .lremovexattr: CK_NR_lremovexattr
        case .fremovexattr: CK_NR_fremovexattr
        case .lseek: CK_NR_lseek
        case .getdents64: CK_NR_getdents64
        case .copyFileRange: CK_NR_copy_file_range
        case .ioctl: CK_NR_ioctl
        case .fcntl: CK_NR_fcntl
        }
    }
}
