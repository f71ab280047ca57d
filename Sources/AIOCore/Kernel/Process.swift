public import CKernel

/// The process, its IDs and its limits.
extension Kernel {
    /// gettid(2).
    public static func threadID() -> Int32 { Int32(truncatingIfNeeded: call(CK_NR_gettid)) }

    /// A number of the calling thread, which no other thread of the process has or will have. Unlike gettid(2), whose
    /// numbers return, it takes no system call; a stand-in for the kernel is asked for the thread all the same. Greater
    /// than any number of gettid(2).
    @inline(__always)
    static func threadNumber() -> UInt64 { hasStandIn ? UInt64(threadID()) : ck_thread_number() }

    /// getpid(2).
    public static func processID() -> Int32 { Int32(truncatingIfNeeded: call(CK_NR_getpid)) }

    /// pidfd_open(2), close-on-exec by default: readable once the process has terminated.
    public static func processDescriptor(_ process: Int32) -> Int { call(CK_NR_pidfd_open, Int(process), 0) }

    /// pidfd_send_signal(2). ESRCH once the process has been waited for, even if its ID is reused.
    public static func sendSignal(_ signal: Int32, toProcess processDescriptor: Int32) -> Int {
        call(CK_NR_pidfd_send_signal, Int(processDescriptor), Int(signal), 0, 0)
    }

    /// waitid(2) of a child by its pidfd. With WNOHANG, `status.process` is 0 while there is nothing to report.
    public static func waitForChild(
        _ processDescriptor: Int32, _ status: UnsafeMutablePointer<ck_child_status>, _ options: Int32
    ) -> Int {
        call(CK_NR_waitid, Int(CK_P_PIDFD), Int(processDescriptor), address(status), Int(options), 0)
    }

    /// geteuid(2).
    public static func effectiveUser() -> UInt32 { UInt32(truncatingIfNeeded: call(CK_NR_geteuid)) }

    /// uname(2).
    public static func uname(_ result: UnsafeMutablePointer<ck_utsname>) -> Int {
        call(CK_NR_uname, address(result))
    }

    /// prlimit(2) of this process: reads the limit.
    public static func limit(_ resource: Int32, _ result: UnsafeMutablePointer<ck_rlimit>) -> Int {
        call(CK_NR_prlimit64, 0, Int(resource), 0, address(result))
    }

    /// prlimit(2) of this process: sets the limit.
    public static func setLimit(_ resource: Int32, _ value: ck_rlimit) -> Int {
        var value = value
        return call(CK_NR_prlimit64, 0, Int(resource), address(&value), 0)
    }

    /// getrusage(2): CPU time and other statistics of this process, with all its threads.
    public static func resourceUsage(_ who: Int32, _ result: UnsafeMutablePointer<ck_rusage>) -> Int {
        call(CK_NR_getrusage, Int(who), address(result))
    }

    /// prctl(PR_SET_PDEATHSIG): the kernel sends the signal to this process when the thread that started it exits.
    /// Survives an exec.
    @discardableResult
    public static func signalWhenParentEnds(_ signal: Int32) -> Int {
        call(CK_NR_prctl, Int(CK_PR_SET_PDEATHSIG), Int(signal))
    }

    /// prctl(PR_GET_NO_NEW_PRIVS): whether an exec can gain no privileges.
    public static func hasNoNewPrivileges() -> Bool { call(CK_NR_prctl, Int(CK_PR_GET_NO_NEW_PRIVS)) == 1 }

    /// sched_getaffinity(2): the number of processors that the calling thread may use.
    public static func processorCount() -> Int {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 128) { mask in
            let bytes = call(CK_NR_sched_getaffinity, 0, 128 * 8, address(mask.baseAddress!))
            guard bytes > 0 else { return 1 }
            var count = 0
            for word in mask[..<(bytes / 8)] { count += word.nonzeroBitCount }
            return max(count, 1)
        }
    }
}
