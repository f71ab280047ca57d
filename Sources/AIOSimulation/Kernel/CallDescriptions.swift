internal import AIO
internal import AIOCore
internal import CKernel

/// System calls as a trace shows them: `fsync(/data/log) = 0`.
enum CallDescriptions {
    /// What an argument is.
    private enum Argument {
        /// A descriptor, shown by the name of its description.
        case descriptor
        /// A directory's descriptor: only shown if it is not the working directory.
        case directory
        /// A path in memory.
        case path
        /// A number.
        case number
        /// An address, which differs from run to run and is not shown.
        case hidden
        /// A number or an address, not shown either.
        case either
    }

    private struct Call {
        let name: String
        let arguments: [Argument]

        /// `pattern` has one letter for each argument: d descriptor, w directory, p path, n number, - hidden,
        /// x either.
        init(_ name: String, _ pattern: String) {
            self.name = name
            arguments = pattern.map { letter in
                switch letter {
                case "d": .descriptor
                case "w": .directory
                case "p": .path
                case "n": .number
                case "x": .either
                default: .hidden
                }
            }
        }
    }

    /// Calls of the engine itself, which happen at every turn, or because another simulation holds a lock: no part of
    /// the trace.
    static func isOfEngine(_ number: Int) -> Bool {
        switch number {
        case CK_NR_epoll_pwait, CK_NR_epoll_pwait2, CK_NR_epoll_ctl, CK_NR_epoll_create1, CK_NR_timerfd_create,
            CK_NR_timerfd_gettime, CK_NR_timerfd_settime, CK_NR_prlimit64, CK_NR_futex:
            true
        default: false
        }
    }

    /// A line without the result. Made before the call, which may close a descriptor.
    static func line(_ call: SystemCall, _ kernel: SimulatedKernel) -> String {
        guard let known = calls[call.number] else { return "call \(call.number)" }
        let values = [call.a, call.b, call.c, call.d, call.e, call.f]
        let shown = zip(known.arguments, values).compactMap { argument, value in
            switch argument {
            case .descriptor: kernel.descriptors[value]?.name ?? "\(Int32(truncatingIfNeeded: value))"
            case .directory:
                Int32(truncatingIfNeeded: value) == CK_AT_FDCWD ? nil : kernel.descriptors[value]?.name ?? "?"
            case .path: UnsafePointer<CChar>(bitPattern: value).map { String(cString: $0) }
            case .number: "\(value)"
            case .hidden, .either: nil
            }
        }
        return "\(known.name)(\(shown.joined(separator: ", ")))"
    }

    /// The call with 0 in place of addresses at which no memory can be (vm.mmap_min_addr), as a kernel's access to them
    /// fails.
    static func withoutBadAddresses(_ call: SystemCall) -> SystemCall {
        let values = [call.a, call.b, call.c, call.d, call.e, call.f]
        guard values.contains(where: { SimulatedKernel.isNowhere(UInt(bitPattern: $0)) }),
            let known = calls[call.number]
        else { return call }
        var checked = values
        for (index, argument) in known.arguments.enumerated() {
            switch argument {
            case .path, .hidden:
                if SimulatedKernel.isNowhere(UInt(bitPattern: values[index])) { checked[index] = 0 }
            default: break
            }
        }
        return SystemCall(call.number, checked[0], checked[1], checked[2], checked[3], checked[4], checked[5])
    }

    static func result(_ result: Int) -> String {
        if result == KernelStandIn.wouldBlock { return "would block" }
        guard (-4095..<0).contains(result) else { return "\(result)" }
        return "\(Errno(rawValue: Int32(-result)))"
    }

    // Looked up, never iterated: the order of a dictionary differs from run to run.
    private static let calls: [Int: Call] = [
        CK_NR_close: Call("close", "d"), CK_NR_dup3: Call("dup3", "ddn"), CK_NR_fcntl: Call("fcntl", "dnx"),
        CK_NR_openat: Call("openat", "wpn"), CK_NR_openat2: Call("openat2", "wp-"),
        CK_NR_preadv2: Call("preadv2", "d-nn"), CK_NR_preadv: Call("preadv", "d-nn"),
        CK_NR_pwritev2: Call("pwritev2", "d-nn"), CK_NR_pwritev: Call("pwritev", "d-nn"),
        CK_NR_pread64: Call("pread", "d-nn"), CK_NR_pwrite64: Call("pwrite", "d-nn"),
        CK_NR_read: Call("read", "d-n"), CK_NR_write: Call("write", "d-n"),
        CK_NR_readv: Call("readv", "d-n"), CK_NR_writev: Call("writev", "d-n"),
        CK_NR_fsync: Call("fsync", "d"), CK_NR_fdatasync: Call("fdatasync", "d"),
        CK_NR_sync_file_range: Call("sync_file_range", "dnnn"), CK_NR_fallocate: Call("fallocate", "dnnn"),
        CK_NR_ftruncate: Call("ftruncate", "dn"), CK_NR_fadvise64: Call("fadvise", "dnnn"),
        CK_NR_readahead: Call("readahead", "dnn"), CK_NR_unlinkat: Call("unlinkat", "wpn"),
        CK_NR_renameat2: Call("renameat2", "wpwpn"), CK_NR_mkdirat: Call("mkdirat", "wpn"),
        CK_NR_mknodat: Call("mknodat", "wpnn"), CK_NR_linkat: Call("linkat", "wpwpn"),
        CK_NR_symlinkat: Call("symlinkat", "pwp"), CK_NR_readlinkat: Call("readlinkat", "wp-n"),
        CK_NR_fchmod: Call("fchmod", "dn"), CK_NR_fchmodat: Call("fchmodat", "wpn"),
        CK_NR_fchown: Call("fchown", "dnn"), CK_NR_fchownat: Call("fchownat", "wpnnn"),
        CK_NR_utimensat: Call("utimensat", "wp-n"), CK_NR_statx: Call("statx", "wp"),
        CK_NR_fstatfs: Call("fstatfs", "d"), CK_NR_lseek: Call("lseek", "dnn"),
        CK_NR_getdents64: Call("getdents64", "d"), CK_NR_copy_file_range: Call("copy_file_range", "d-d-nn"),
        CK_NR_ioctl: Call("ioctl", "dn"), CK_NR_ppoll: Call("ppoll", "-n"), CK_NR_eventfd2: Call("eventfd2", "n"),
        CK_NR_timerfd_create: Call("timerfd_create", ""), CK_NR_timerfd_settime: Call("timerfd_settime", "d"),
        CK_NR_socket: Call("socket", "nnn"), CK_NR_socketpair: Call("socketpair", "nnn"),
        CK_NR_bind: Call("bind", "d"), CK_NR_listen: Call("listen", "dn"), CK_NR_accept4: Call("accept4", "d"),
        CK_NR_connect: Call("connect", "d"), CK_NR_getsockopt: Call("getsockopt", "dnn"),
        CK_NR_setsockopt: Call("setsockopt", "dnn"), CK_NR_getsockname: Call("getsockname", "d"),
        CK_NR_getpeername: Call("getpeername", "d"), CK_NR_shutdown: Call("shutdown", "dn"),
        CK_NR_sendto: Call("sendto", "d-nn"), CK_NR_recvfrom: Call("recvfrom", "d-nn"),
        CK_NR_sendmsg: Call("sendmsg", "d-n"), CK_NR_recvmsg: Call("recvmsg", "d-n"),
        CK_NR_pipe2: Call("pipe2", "-n"), CK_NR_splice: Call("splice", "d-d-nn"), CK_NR_tee: Call("tee", "ddnn"),
        CK_NR_waitid: Call("waitid", "n"), CK_NR_inotify_init1: Call("inotify_init1", "n"),
        CK_NR_inotify_add_watch: Call("inotify_add_watch", "dpn"), CK_NR_fgetxattr: Call("fgetxattr", "dp"),
        CK_NR_fsetxattr: Call("fsetxattr", "dp"), CK_NR_flistxattr: Call("flistxattr", "d"),
        CK_NR_fremovexattr: Call("fremovexattr", "dp"), CK_NR_lgetxattr: Call("lgetxattr", "pp"),
        CK_NR_lsetxattr: Call("lsetxattr", "pp"), CK_NR_llistxattr: Call("llistxattr", "p"),
        CK_NR_lremovexattr: Call("lremovexattr", "pp"), CK_NR_cachestat: Call("cachestat", "d"),
        CK_NR_futex: Call("futex", "-nn-"), CK_NR_futex_waitv: Call("futex_waitv", ""),
        CK_NR_pidfd_open: Call("pidfd_open", "n"),
        CK_NR_memfd_create: Call("memfd_create", "pn"),
    ]
}
