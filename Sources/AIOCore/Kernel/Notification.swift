internal import CKernel

/// Change notification, inotify(7).
extension Kernel {
    /// inotify_init1(2), non-blocking and close-on-exec.
    public static func changeDescriptor() -> Int {
        call(CK_NR_inotify_init1, Int(CK_IN_CLOEXEC | CK_IN_NONBLOCK))
    }

    /// inotify_add_watch(2). Returns the watch descriptor, the same for all paths to one file.
    public static func addWatch(_ descriptor: Int32, _ path: UnsafePointer<CChar>, _ mask: UInt32) -> Int {
        call(CK_NR_inotify_add_watch, Int(descriptor), address(path), Int(mask))
    }

    /// 0 for an inotify descriptor: one without a file type that supports FIONREAD, which eventfds, timers, epolls and
    /// the like do not. -EBADF for any other number, and the kernel's error if it does not tell.
    public static func checkChangeDescriptor(_ descriptor: Int32) -> Int {
        var status = ck_statx()
        var empty: CChar = 0
        let flags = CK_AT_EMPTY_PATH | CK_AT_STATX_DONT_SYNC
        let found = statx(descriptor, &empty, flags, CK_STATX_TYPE, &status)
        guard found >= 0 else { return found }
        guard status.mode & CK_S_IFMT == 0 else { return -Int(EBADF) }
        var count: Int32 = 0
        let asked = withUnsafeMutablePointer(to: &count) {
            ioctl(descriptor, UInt(CK_FIONREAD), Int(bitPattern: $0))
        }
        return asked == -Int(ENOTTY) || asked == -Int(EINVAL) ? -Int(EBADF) : min(asked, 0)
    }
}
