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

    /// Whether this is an inotify descriptor: one without a file type that supports FIONREAD, which eventfds, timers,
    /// epolls and the like do not.
    public static func isChangeDescriptor(_ descriptor: Int32) -> Bool {
        var count: Int32 = 0
        return isAnonymous(descriptor)
            && withUnsafeMutablePointer(to: &count) {
                ioctl(descriptor, UInt(CK_FIONREAD), Int(bitPattern: $0)) == 0
            }
    }
}
