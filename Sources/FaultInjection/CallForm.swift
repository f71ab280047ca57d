internal import CKernel

/// What a plan knows about a kind of system call: its name, and what its arguments mean. One table for the plans of
/// real and simulated kernels, and for a simulation's trace.
package struct CallForm: Sendable {
    /// What an argument is.
    package enum Argument: Sendable {
        /// The descriptor of an open file.
        case descriptor
        /// The descriptor of the directory that the path after it starts from.
        case directory
        /// A path that starts from the directory before it.
        case path
        /// A path that starts from the working directory.
        case pathFromAnywhere
        /// Text that is not the path of the call's file.
        case text
        case number
        /// How many bytes are transferred.
        case byteCount
        /// An array of iovecs; the next argument is their number.
        case vectors
        /// A message header, which has an array of iovecs.
        case message
        /// Another address, which differs from run to run.
        case address
        /// A number or an address, as the call's command says.
        case either
    }

    package let number: Int
    package let name: StaticString
    package let arguments: [Argument]
    let makes: Made

    /// The descriptors that a call returns.
    enum Made: Sendable {
        case nothing
        /// The result, for what the call's path, or its descriptor, names.
        case file
        /// The result, for something without a path. A plan knows it by this name.
        case nameless(StaticString)
        /// Two, in the array that the argument of this index points to.
        case pair(StaticString, at: Int)
    }

    /// `pattern` has a letter for each argument. Arguments after it are not looked at.
    private init(_ number: Int, _ name: StaticString, _ pattern: StaticString, makes: Made = .nothing) {
        self.number = number
        self.name = name
        self.makes = makes
        arguments = bytes(of: pattern).map { letter in
            switch letter {
            case UInt8(ascii: "d"): .descriptor
            case UInt8(ascii: "w"): .directory
            case UInt8(ascii: "p"): .path
            case UInt8(ascii: "a"): .pathFromAnywhere
            case UInt8(ascii: "t"): .text
            case UInt8(ascii: "n"): .number
            case UInt8(ascii: "b"): .byteCount
            case UInt8(ascii: "v"): .vectors
            case UInt8(ascii: "m"): .message
            case UInt8(ascii: "x"): .either
            default: .address
            }
        }
    }

    /// Whether the call belongs to the kind of this name. `read` and `write` stand for all forms of either, `memory`
    /// for what may fail for want of memory, and `descriptors` for what makes a descriptor.
    func isNamed(_ other: [UInt8]) -> Bool {
        if other.elementsEqual(bytes(of: name)) { return true }
        if other.elementsEqual(bytes(of: "memory")) { return mayLackMemory }
        if other.elementsEqual(bytes(of: "descriptors")) { return makesDescriptors }
        if other.elementsEqual(bytes(of: "read")) { return isRead }
        return other.elementsEqual(bytes(of: "write")) && isWrite
    }

    /// Its own name, and `read` or `write` if it is a form of either.
    package var names: [StaticString] {
        var names = [name]
        if isRead, number != CK_NR_read { names.append("read") }
        if isWrite, number != CK_NR_write { names.append("write") }
        return names
    }

    var isRead: Bool {
        switch number {
        case CK_NR_read, CK_NR_readv, CK_NR_pread64, CK_NR_preadv, CK_NR_preadv2: true
        default: false
        }
    }

    private var makesDescriptors: Bool {
        if case .nothing = makes { return false }
        return true
    }

    /// Whether its manual page has ENOMEM for want of the kernel's memory.
    private var mayLackMemory: Bool {
        switch number {
        case CK_NR_openat2, CK_NR_openat, CK_NR_statx, CK_NR_newfstatat, CK_NR_unlinkat, CK_NR_renameat2,
            CK_NR_mkdirat, CK_NR_mknodat, CK_NR_linkat, CK_NR_symlinkat, CK_NR_readlinkat, CK_NR_fchmodat,
            CK_NR_fchmodat2, CK_NR_fchownat, CK_NR_statfs, CK_NR_fstatfs, CK_NR_copy_file_range, CK_NR_splice,
            CK_NR_tee, CK_NR_inotify_init1, CK_NR_inotify_add_watch, CK_NR_socket, CK_NR_socketpair, CK_NR_accept4,
            CK_NR_bind, CK_NR_sendto, CK_NR_sendmsg, CK_NR_recvfrom, CK_NR_recvmsg, CK_NR_memfd_create,
            CK_NR_epoll_create1, CK_NR_epoll_ctl, CK_NR_eventfd2, CK_NR_timerfd_create, CK_NR_signalfd4,
            CK_NR_pidfd_open, CK_NR_ppoll, CK_NR_mmap, CK_NR_mremap:
            true
        default: false
        }
    }

    private var isWrite: Bool {
        switch number {
        case CK_NR_write, CK_NR_writev, CK_NR_pwrite64, CK_NR_pwritev, CK_NR_pwritev2: true
        default: false
        }
    }

    /// The form of the call of this number; nil for a call that the library does not make.
    package static func of(_ number: Int) -> CallForm? {
        byNumber.indices.contains(number) ? byNumber[number] : nil
    }

    /// Above the numbers of all calls that have a form.
    static var numberEnd: Int { byNumber.count }

    static func isKnown(_ name: [UInt8]) -> Bool { all.contains { $0.isNamed(name) } }

    /// Whether engines and their threads make the call, and no operation is carried out by it.
    static func isOfEngine(_ name: [UInt8]) -> Bool {
        ofEngines.contains { number in of(number).map { $0.isNamed(name) } ?? false }
    }

    private static let ofEngines = [
        CK_NR_io_uring_setup, CK_NR_io_uring_enter, CK_NR_io_uring_register, CK_NR_io_setup, CK_NR_io_submit,
        CK_NR_io_getevents, CK_NR_io_cancel, CK_NR_io_destroy, CK_NR_epoll_create1, CK_NR_epoll_ctl,
        CK_NR_epoll_pwait, CK_NR_epoll_pwait2, CK_NR_eventfd2, CK_NR_futex, CK_NR_futex_waitv, CK_NR_clone,
        CK_NR_mmap, CK_NR_mremap, CK_NR_madvise, CK_NR_prctl, CK_NR_prlimit64, CK_NR_kcmp, CK_NR_process_vm_readv,
    ]

    /// Whether a call makes descriptors of this name.
    static func isMade(_ name: [UInt8]) -> Bool {
        all.contains { form in
            switch form.makes {
            case .nameless(let made), .pair(let made, _): name.elementsEqual(bytes(of: made))
            case .nothing, .file: false
            }
        }
    }

    private static let all = transfers + onFiles + onPaths + streams + others

    /// Every call of the process looks its form up.
    private static let byNumber: [CallForm?] = {
        var forms = [CallForm?](repeating: nil, count: 1 + (all.map { $0.number }.max() ?? 0))
        for form in all { forms[form.number] = form }
        return forms
    }()

    private static let transfers = [
        CallForm(CK_NR_read, "read", "d-b"),
        CallForm(CK_NR_write, "write", "d-b"),
        CallForm(CK_NR_readv, "readv", "dvn"),
        CallForm(CK_NR_writev, "writev", "dvn"),
        CallForm(CK_NR_pread64, "pread64", "d-bn"),
        CallForm(CK_NR_pwrite64, "pwrite64", "d-bn"),
        CallForm(CK_NR_preadv, "preadv", "dvnn"),
        CallForm(CK_NR_pwritev, "pwritev", "dvnn"),
        CallForm(CK_NR_preadv2, "preadv2", "dvnn"),
        CallForm(CK_NR_pwritev2, "pwritev2", "dvnn"),
        CallForm(CK_NR_copy_file_range, "copy_file_range", "d-d-bn"),
        CallForm(CK_NR_splice, "splice", "d-d-bn"),
        CallForm(CK_NR_tee, "tee", "ddbn"),
    ]

    private static let onFiles = [
        CallForm(CK_NR_close, "close", "d"),
        CallForm(CK_NR_fcntl, "fcntl", "dnx"),
        CallForm(CK_NR_dup3, "dup3", "dnn", makes: .file),
        CallForm(CK_NR_fsync, "fsync", "d"),
        CallForm(CK_NR_fdatasync, "fdatasync", "d"),
        CallForm(CK_NR_sync_file_range, "sync_file_range", "dnnn"),
        CallForm(CK_NR_fallocate, "fallocate", "dnnn"),
        CallForm(CK_NR_ftruncate, "ftruncate", "dn"),
        CallForm(CK_NR_fadvise64, "fadvise64", "dnnn"),
        CallForm(CK_NR_readahead, "readahead", "dnn"),
        CallForm(CK_NR_cachestat, "cachestat", "d"),
        CallForm(CK_NR_fchmod, "fchmod", "dn"),
        CallForm(CK_NR_fchown, "fchown", "dnn"),
        CallForm(CK_NR_fstatfs, "fstatfs", "d"),
        CallForm(CK_NR_fgetxattr, "fgetxattr", "dt"),
        CallForm(CK_NR_fsetxattr, "fsetxattr", "dt"),
        CallForm(CK_NR_flistxattr, "flistxattr", "d"),
        CallForm(CK_NR_fremovexattr, "fremovexattr", "dt"),
        CallForm(CK_NR_lseek, "lseek", "dnn"),
        CallForm(CK_NR_getdents64, "getdents64", "d"),
        CallForm(CK_NR_ioctl, "ioctl", "dn"),
    ]

    private static let onPaths = [
        CallForm(CK_NR_openat2, "openat2", "wp-", makes: .file),
        CallForm(CK_NR_openat, "openat", "wpn", makes: .file),
        CallForm(CK_NR_statx, "statx", "wp"),
        CallForm(CK_NR_newfstatat, "newfstatat", "wp"),
        CallForm(CK_NR_unlinkat, "unlinkat", "wpn"),
        CallForm(CK_NR_renameat2, "renameat2", "wpwpn"),
        CallForm(CK_NR_mkdirat, "mkdirat", "wpn"),
        CallForm(CK_NR_mknodat, "mknodat", "wpnn"),
        CallForm(CK_NR_linkat, "linkat", "wpwpn"),
        CallForm(CK_NR_symlinkat, "symlinkat", "twp"),
        CallForm(CK_NR_readlinkat, "readlinkat", "wp-n"),
        CallForm(CK_NR_fchmodat, "fchmodat", "wpn"),
        CallForm(CK_NR_fchmodat2, "fchmodat2", "wpn"),
        CallForm(CK_NR_fchownat, "fchownat", "wpnnn"),
        CallForm(CK_NR_utimensat, "utimensat", "wp-n"),
        CallForm(CK_NR_inotify_add_watch, "inotify_add_watch", "dan"),
        CallForm(CK_NR_statfs, "statfs", "a"),
        CallForm(CK_NR_getxattr, "getxattr", "at"),
        CallForm(CK_NR_lgetxattr, "lgetxattr", "at"),
        CallForm(CK_NR_setxattr, "setxattr", "at"),
        CallForm(CK_NR_lsetxattr, "lsetxattr", "at"),
        CallForm(CK_NR_listxattr, "listxattr", "a"),
        CallForm(CK_NR_llistxattr, "llistxattr", "a"),
        CallForm(CK_NR_removexattr, "removexattr", "at"),
        CallForm(CK_NR_lremovexattr, "lremovexattr", "at"),
    ]

    private static let streams = [
        CallForm(CK_NR_socket, "socket", "nnn", makes: .nameless("socket")),
        CallForm(CK_NR_socketpair, "socketpair", "nnn", makes: .pair("socket", at: 3)),
        CallForm(CK_NR_bind, "bind", "d"),
        CallForm(CK_NR_listen, "listen", "dn"),
        CallForm(CK_NR_accept4, "accept4", "d", makes: .file),
        CallForm(CK_NR_connect, "connect", "d"),
        CallForm(CK_NR_getsockopt, "getsockopt", "dnn"),
        CallForm(CK_NR_setsockopt, "setsockopt", "dnn"),
        CallForm(CK_NR_getsockname, "getsockname", "d"),
        CallForm(CK_NR_getpeername, "getpeername", "d"),
        CallForm(CK_NR_shutdown, "shutdown", "dn"),
        CallForm(CK_NR_sendto, "sendto", "d-bn"),
        CallForm(CK_NR_recvfrom, "recvfrom", "d-bn"),
        CallForm(CK_NR_sendmsg, "sendmsg", "dmn"),
        CallForm(CK_NR_recvmsg, "recvmsg", "dmn"),
        CallForm(CK_NR_pipe2, "pipe2", "-n", makes: .pair("pipe", at: 0)),
        CallForm(CK_NR_inotify_init1, "inotify_init1", "n", makes: .nameless("inotify")),
    ]

    private static let others = [
        // Asked by `Kernel.startThread`: libc makes the call.
        CallForm(CK_NR_clone, "clone", ""),
        CallForm(CK_NR_mmap, "mmap", ""),
        CallForm(CK_NR_mremap, "mremap", ""),
        CallForm(CK_NR_madvise, "madvise", ""),
        CallForm(CK_NR_memfd_create, "memfd_create", "tn", makes: .nameless("memory")),
        CallForm(CK_NR_epoll_create1, "epoll_create1", "", makes: .nameless("epoll")),
        CallForm(CK_NR_epoll_ctl, "epoll_ctl", "dnd"),
        CallForm(CK_NR_epoll_pwait, "epoll_pwait", "d"),
        CallForm(CK_NR_epoll_pwait2, "epoll_pwait2", "d"),
        CallForm(CK_NR_eventfd2, "eventfd2", "n", makes: .nameless("event")),
        CallForm(CK_NR_timerfd_create, "timerfd_create", "", makes: .nameless("timer")),
        CallForm(CK_NR_timerfd_settime, "timerfd_settime", "d"),
        CallForm(CK_NR_signalfd4, "signalfd4", "", makes: .nameless("signals")),
        CallForm(CK_NR_pidfd_open, "pidfd_open", "n", makes: .nameless("process")),
        CallForm(CK_NR_pidfd_send_signal, "pidfd_send_signal", "dn"),
        // The library waits for children by their pidfds.
        CallForm(CK_NR_waitid, "waitid", "nd"),
        CallForm(CK_NR_ppoll, "ppoll", "-n"),
        CallForm(CK_NR_futex, "futex", "-nn-"),
        CallForm(CK_NR_futex_waitv, "futex_waitv", ""),
        CallForm(CK_NR_io_setup, "io_setup", ""),
        CallForm(CK_NR_io_destroy, "io_destroy", ""),
        CallForm(CK_NR_io_submit, "io_submit", ""),
        CallForm(CK_NR_io_cancel, "io_cancel", ""),
        CallForm(CK_NR_io_getevents, "io_getevents", ""),
        CallForm(CK_NR_io_uring_setup, "io_uring_setup", "", makes: .nameless("ring")),
        CallForm(CK_NR_io_uring_enter, "io_uring_enter", ""),
        CallForm(CK_NR_io_uring_register, "io_uring_register", ""),
        CallForm(CK_NR_prlimit64, "prlimit64", ""),
        CallForm(CK_NR_prctl, "prctl", ""),
        CallForm(CK_NR_process_vm_readv, "process_vm_readv", ""),
        CallForm(CK_NR_statmount, "statmount", ""),
        CallForm(CK_NR_kcmp, "kcmp", ""),
    ]
}

/// The text of a name in the program.
package func bytes(of text: StaticString) -> UnsafeBufferPointer<UInt8> {
    // Sound: the text is UTF-8 in memory that lives as long as the program.
    UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
}
