internal import CKernel

/// Signals that this process sends to itself.
extension Kernel {
    /// signalfd4(2): a descriptor from which the signals in `mask` (bit n - 1 for signal n) are read while they are
    /// blocked, 128 bytes each.
    public static func signalDescriptor(_ mask: UInt64, _ flags: Int32) -> Int {
        var mask = mask
        return call(CK_NR_signalfd4, -1, address(&mask), 8, Int(flags))
    }

    /// rt_sigqueueinfo(2): queues a signal with a value for this process, as asynchronous I/O does (SI_ASYNCIO).
    ///
    /// Returns 0, or negative EINVAL (no such signal) or EAGAIN (RLIMIT_SIGPENDING is reached).
    public static func queueSignal(_ signal: Int32, value: UInt) -> Int {
        let process = processID()
        var info = asynchronousIO(signal, value, process)
        return call(CK_NR_rt_sigqueueinfo, Int(process), Int(signal), address(&info))
    }

    /// rt_tgsigqueueinfo(2): queues the signal for one thread of this process. ESRCH if there is no such thread.
    public static func queueSignal(_ signal: Int32, value: UInt, thread: Int32) -> Int {
        let process = processID()
        var info = asynchronousIO(signal, value, process)
        return call(CK_NR_rt_tgsigqueueinfo, Int(process), Int(thread), Int(signal), address(&info))
    }

    /// kill(2) of this process: a signal without a value, which needs no queue entry.
    public static func sendSignal(_ signal: Int32) -> Int { call(CK_NR_kill, Int(processID()), Int(signal)) }

    /// tgkill(2) of a thread of this process.
    public static func sendSignal(_ signal: Int32, thread: Int32) -> Int {
        call(CK_NR_tgkill, Int(processID()), Int(thread), Int(signal))
    }

    /// Calls `body` with all signals blocked: no handler runs on this thread meanwhile.
    public static func withSignalsBlocked(_ body: () -> Void) {
        var all = UInt64.max
        var before: UInt64 = 0
        _ = call(CK_NR_rt_sigprocmask, Int(CK_SIG_SETMASK), address(&all), address(&before), 8)
        body()
        _ = call(CK_NR_rt_sigprocmask, Int(CK_SIG_SETMASK), address(&before), 0, 8)
    }

    /// Calls `body`, a write on the caller's thread, and suppresses the SIGPIPE of a write to a broken pipe. The
    /// operation only fails with EPIPE, as it does when another thread executes it.
    public static func withoutBrokenPipeSignal(_ body: () -> Int) -> Int {
        var broken = UInt64(1) << UInt64(CK_SIGPIPE - 1)
        var before: UInt64 = 0
        var pending: UInt64 = 0
        _ = call(CK_NR_rt_sigprocmask, Int(CK_SIG_BLOCK), address(&broken), address(&before), 8)
        _ = call(CK_NR_rt_sigpending, address(&pending), 8)
        let result = body()
        if result == -Int(EPIPE), pending & broken == 0 {
            var none = ck_timespec()
            _ = call(CK_NR_rt_sigtimedwait, address(&broken), 0, address(&none), 8)
        }
        _ = call(CK_NR_rt_sigprocmask, Int(CK_SIG_SETMASK), address(&before), 0, 8)
        return result
    }

    private static func asynchronousIO(_ signal: Int32, _ value: UInt, _ process: Int32) -> ck_signal_info {
        var info = ck_signal_info()
        info.signal = signal
        info.code = CK_SI_ASYNCIO
        info.process = process
        info.user = UInt32(truncatingIfNeeded: call(CK_NR_getuid))
        info.value = UInt64(value)
        return info
    }
}
