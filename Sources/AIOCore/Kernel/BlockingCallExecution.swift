internal import CKernel

extension BlockingCall {
    /// Executes the call on the calling thread, which may block; for workers only.
    func blockingResult() -> Int {
        let result = Kernel.call(kind.number, first, second, third, fourth, Int(fifth))
        switch kind {
        case .lseek:
            // A completion cannot hold an offset.
            guard result >= 0, let position = UnsafeMutablePointer<Int64>(bitPattern: fourth) else { return result }
            position.pointee = Int64(result)
            return 0
        case .fchmodat2 where result == -Int(ENOSYS) && fourth == 0:
            // Before 6.6. With flags there is no substitute: fchmodat(2) always follows a symbolic link.
            return Kernel.call(CK_NR_fchmodat, first, second, third)
        default:
            return result
        }
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
