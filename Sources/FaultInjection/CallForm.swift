internal import CKernel

/// What a plan knows about a kind of system call: its name, and what its arguments mean.
struct CallForm {
    /// How many bytes a call transfers.
    enum Length {
        case none
        /// The argument of this index is the number of bytes.
        case bytes(Int)
        /// The argument is an array of iovecs, and the next one their number.
        case vectors(Int)
    }

    let number: Int
    let name: StaticString
    /// The arguments that are descriptors of open files, by index.
    var descriptors: [Int] = []
    /// The arguments that are paths, by index. The argument before each is the directory that it starts from, unless
    /// `startsAnywhere`.
    var paths: [Int] = []
    var startsAnywhere = false
    var length = Length.none
    /// Whether the result is a new descriptor.
    var makesDescriptor = false

    /// Whether the call belongs to the kind of this name. `read` and `write` stand for all forms of either.
    func isNamed(_ other: [UInt8]) -> Bool {
        if other.elementsEqual(bytes(of: name)) { return true }
        return switch (length, other.elementsEqual(bytes(of: "read")), other.elementsEqual(bytes(of: "write"))) {
        case (.bytes, true, _), (.vectors, true, _): Self.reads.contains(number)
        case (.bytes, _, true), (.vectors, _, true): Self.writes.contains(number)
        default: false
        }
    }

    private static let reads = [CK_NR_read, CK_NR_readv, CK_NR_pread64, CK_NR_preadv, CK_NR_preadv2]
    private static let writes = [CK_NR_write, CK_NR_writev, CK_NR_pwrite64, CK_NR_pwritev, CK_NR_pwritev2]

    static func of(_ number: Int) -> CallForm? { all.first { $0.number == number } }

    static func isKnown(_ name: [UInt8]) -> Bool { all.contains { $0.isNamed(name) } }

    private static let all = transfers + onFiles + onPaths + streams + others

    private static let transfers = [
        CallForm(number: CK_NR_read, name: "read", descriptors: [0], length: .bytes(2)),
        CallForm(number: CK_NR_write, name: "write", descriptors: [0], length: .bytes(2)),
        CallForm(number: CK_NR_readv, name: "readv", descriptors: [0], length: .vectors(1)),
        CallForm(number: CK_NR_writev, name: "writev", descriptors: [0], length: .vectors(1)),
        CallForm(number: CK_NR_pread64, name: "pread64", descriptors: [0], length: .bytes(2)),
        CallForm(number: CK_NR_pwrite64, name: "pwrite64", descriptors: [0], length: .bytes(2)),
        CallForm(number: CK_NR_preadv, name: "preadv", descriptors: [0], length: .vectors(1)),
        CallForm(number: CK_NR_pwritev, name: "pwritev", descriptors: [0], length: .vectors(1)),
        CallForm(number: CK_NR_preadv2, name: "preadv2", descriptors: [0], length: .vectors(1)),
        CallForm(number: CK_NR_pwritev2, name: "pwritev2", descriptors: [0], length: .vectors(1)),
        CallForm(
            number: CK_NR_copy_file_range, name: "copy_file_range", descriptors: [0, 2], length: .bytes(4)),
        CallForm(number: CK_NR_splice, name: "splice", descriptors: [0, 2], length: .bytes(4)),
        CallForm(number: CK_NR_tee, name: "tee", descriptors: [0, 1], length: .bytes(2)),
    ]

    private static let onFiles = [
        CallForm(number: CK_NR_close, name: "close", descriptors: [0]),
        CallForm(number: CK_NR_fcntl, name: "fcntl", descriptors: [0]),
        CallForm(number: CK_NR_dup3, name: "dup3", descriptors: [0], makesDescriptor: true),
        CallForm(number: CK_NR_fsync, name: "fsync", descriptors: [0]),
        CallForm(number: CK_NR_fdatasync, name: "fdatasync", descriptors: [0]),
        CallForm(number: CK_NR_sync_file_range, name: "sync_file_range", descriptors: [0]),
        CallForm(number: CK_NR_fallocate, name: "fallocate", descriptors: [0]),
        CallForm(number: CK_NR_ftruncate, name: "ftruncate", descriptors: [0]),
        CallForm(number: CK_NR_fadvise64, name: "fadvise64", descriptors: [0]),
        CallForm(number: CK_NR_readahead, name: "readahead", descriptors: [0]),
        CallForm(number: CK_NR_cachestat, name: "cachestat", descriptors: [0]),
        CallForm(number: CK_NR_fchmod, name: "fchmod", descriptors: [0]),
        CallForm(number: CK_NR_fchown, name: "fchown", descriptors: [0]),
        CallForm(number: CK_NR_fstatfs, name: "fstatfs", descriptors: [0]),
        CallForm(number: CK_NR_fgetxattr, name: "fgetxattr", descriptors: [0]),
        CallForm(number: CK_NR_fsetxattr, name: "fsetxattr", descriptors: [0]),
        CallForm(number: CK_NR_flistxattr, name: "flistxattr", descriptors: [0]),
        CallForm(number: CK_NR_fremovexattr, name: "fremovexattr", descriptors: [0]),
        CallForm(number: CK_NR_lseek, name: "lseek", descriptors: [0]),
        CallForm(number: CK_NR_getdents64, name: "getdents64", descriptors: [0]),
        CallForm(number: CK_NR_ioctl, name: "ioctl", descriptors: [0]),
    ]

    private static let onPaths = [
        CallForm(number: CK_NR_openat2, name: "openat2", paths: [1], makesDescriptor: true),
        CallForm(number: CK_NR_openat, name: "openat", paths: [1], makesDescriptor: true),
        CallForm(number: CK_NR_statx, name: "statx", paths: [1]),
        CallForm(number: CK_NR_newfstatat, name: "newfstatat", paths: [1]),
        CallForm(number: CK_NR_unlinkat, name: "unlinkat", paths: [1]),
        CallForm(number: CK_NR_renameat2, name: "renameat2", paths: [1, 3]),
        CallForm(number: CK_NR_mkdirat, name: "mkdirat", paths: [1]),
        CallForm(number: CK_NR_mknodat, name: "mknodat", paths: [1]),
        CallForm(number: CK_NR_linkat, name: "linkat", paths: [1, 3]),
        CallForm(number: CK_NR_symlinkat, name: "symlinkat", paths: [2]),
        CallForm(number: CK_NR_readlinkat, name: "readlinkat", paths: [1]),
        CallForm(number: CK_NR_fchmodat, name: "fchmodat", paths: [1]),
        CallForm(number: CK_NR_fchmodat2, name: "fchmodat2", paths: [1]),
        CallForm(number: CK_NR_fchownat, name: "fchownat", paths: [1]),
        CallForm(number: CK_NR_utimensat, name: "utimensat", paths: [1]),
        CallForm(number: CK_NR_inotify_add_watch, name: "inotify_add_watch", paths: [1], startsAnywhere: true),
        CallForm(number: CK_NR_statfs, name: "statfs", paths: [0], startsAnywhere: true),
        CallForm(number: CK_NR_getxattr, name: "getxattr", paths: [0], startsAnywhere: true),
        CallForm(number: CK_NR_lgetxattr, name: "lgetxattr", paths: [0], startsAnywhere: true),
        CallForm(number: CK_NR_setxattr, name: "setxattr", paths: [0], startsAnywhere: true),
        CallForm(number: CK_NR_lsetxattr, name: "lsetxattr", paths: [0], startsAnywhere: true),
        CallForm(number: CK_NR_listxattr, name: "listxattr", paths: [0], startsAnywhere: true),
        CallForm(number: CK_NR_llistxattr, name: "llistxattr", paths: [0], startsAnywhere: true),
        CallForm(number: CK_NR_removexattr, name: "removexattr", paths: [0], startsAnywhere: true),
        CallForm(number: CK_NR_lremovexattr, name: "lremovexattr", paths: [0], startsAnywhere: true),
    ]

    private static let streams = [
        CallForm(number: CK_NR_socket, name: "socket", makesDescriptor: true),
        CallForm(number: CK_NR_socketpair, name: "socketpair"),
        CallForm(number: CK_NR_bind, name: "bind", descriptors: [0]),
        CallForm(number: CK_NR_listen, name: "listen", descriptors: [0]),
        CallForm(number: CK_NR_accept4, name: "accept4", descriptors: [0], makesDescriptor: true),
        CallForm(number: CK_NR_connect, name: "connect", descriptors: [0]),
        CallForm(number: CK_NR_getsockopt, name: "getsockopt", descriptors: [0]),
        CallForm(number: CK_NR_setsockopt, name: "setsockopt", descriptors: [0]),
        CallForm(number: CK_NR_getsockname, name: "getsockname", descriptors: [0]),
        CallForm(number: CK_NR_getpeername, name: "getpeername", descriptors: [0]),
        CallForm(number: CK_NR_shutdown, name: "shutdown", descriptors: [0]),
        CallForm(number: CK_NR_sendto, name: "sendto", descriptors: [0], length: .bytes(2)),
        CallForm(number: CK_NR_recvfrom, name: "recvfrom", descriptors: [0], length: .bytes(2)),
        CallForm(number: CK_NR_sendmsg, name: "sendmsg", descriptors: [0]),
        CallForm(number: CK_NR_recvmsg, name: "recvmsg", descriptors: [0]),
        CallForm(number: CK_NR_pipe2, name: "pipe2"),
        CallForm(number: CK_NR_inotify_init1, name: "inotify_init1", makesDescriptor: true),
    ]

    private static let others = [
        // Asked by `Kernel.startThread`: libc makes the call.
        CallForm(number: CK_NR_clone, name: "clone"),
        CallForm(number: CK_NR_mmap, name: "mmap"),
        CallForm(number: CK_NR_mremap, name: "mremap"),
        CallForm(number: CK_NR_madvise, name: "madvise"),
        CallForm(number: CK_NR_memfd_create, name: "memfd_create", makesDescriptor: true),
        CallForm(number: CK_NR_epoll_create1, name: "epoll_create1", makesDescriptor: true),
        CallForm(number: CK_NR_epoll_ctl, name: "epoll_ctl", descriptors: [0, 2]),
        CallForm(number: CK_NR_epoll_pwait, name: "epoll_pwait", descriptors: [0]),
        CallForm(number: CK_NR_epoll_pwait2, name: "epoll_pwait2", descriptors: [0]),
        CallForm(number: CK_NR_eventfd2, name: "eventfd2", makesDescriptor: true),
        CallForm(number: CK_NR_timerfd_create, name: "timerfd_create", makesDescriptor: true),
        CallForm(number: CK_NR_timerfd_settime, name: "timerfd_settime", descriptors: [0]),
        CallForm(number: CK_NR_signalfd4, name: "signalfd4", makesDescriptor: true),
        CallForm(number: CK_NR_pidfd_open, name: "pidfd_open", makesDescriptor: true),
        CallForm(number: CK_NR_pidfd_send_signal, name: "pidfd_send_signal", descriptors: [0]),
        CallForm(number: CK_NR_waitid, name: "waitid"),
        CallForm(number: CK_NR_ppoll, name: "ppoll"),
        CallForm(number: CK_NR_futex, name: "futex"),
        CallForm(number: CK_NR_futex_waitv, name: "futex_waitv"),
        CallForm(number: CK_NR_io_setup, name: "io_setup"),
        CallForm(number: CK_NR_io_destroy, name: "io_destroy"),
        CallForm(number: CK_NR_io_submit, name: "io_submit"),
        CallForm(number: CK_NR_io_cancel, name: "io_cancel"),
        CallForm(number: CK_NR_io_getevents, name: "io_getevents"),
        CallForm(number: CK_NR_io_uring_setup, name: "io_uring_setup", makesDescriptor: true),
        CallForm(number: CK_NR_io_uring_enter, name: "io_uring_enter"),
        CallForm(number: CK_NR_io_uring_register, name: "io_uring_register"),
        CallForm(number: CK_NR_prlimit64, name: "prlimit64"),
        CallForm(number: CK_NR_prctl, name: "prctl"),
        CallForm(number: CK_NR_process_vm_readv, name: "process_vm_readv"),
        CallForm(number: CK_NR_statmount, name: "statmount"),
        CallForm(number: CK_NR_kcmp, name: "kcmp"),
    ]
}

/// The text of a name in the program.
func bytes(of text: StaticString) -> UnsafeBufferPointer<UInt8> {
    // Sound: the text is UTF-8 in memory that lives as long as the program.
    UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
}
