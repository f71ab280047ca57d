internal import CKernel
public import Synchronization

/// Waits on a word in memory.
extension Kernel {
    /// futex(2), FUTEX_WAIT_BITSET: sleeps while `word` holds `value`, until the deadline.
    ///
    /// Returns 0 (woken), or negative EAGAIN (the word holds another value), EINTR (a signal handler ran, even with
    /// SA_RESTART, since there is always a timeout) or ETIMEDOUT.
    public static func futexWait(
        _ word: UnsafeMutablePointer<Atomic<UInt32>>, while value: UInt32, until deadline: Nanoseconds
    ) -> Int {
        // Without a timeout the kernel would restart the call after a handler with SA_RESTART.
        var time = ck_timespec(min(deadline, Nanoseconds(Int64.max)))
        return call(
            CK_NR_futex, address(word), Int(CK_FUTEX_WAIT_BITSET | CK_FUTEX_PRIVATE), Int(value), address(&time), 0,
            Int(UInt32.max))
    }

    /// futex(2), FUTEX_WAKE: wakes up to `count` threads that wait on `word`.
    public static func futexWake(_ word: UnsafeMutablePointer<Atomic<UInt32>>, _ count: Int32) {
        _ = call(CK_NR_futex, address(word), Int(CK_FUTEX_WAKE | CK_FUTEX_PRIVATE), Int(count))
    }

    /// `futexWait` by the kernel itself, also while something stands in for it (`KernelStandIn`): for a word that
    /// threads share of which each may be another simulation's, or none's.
    package static func futexWaitPastStandIn(
        _ word: UnsafeMutablePointer<Atomic<UInt32>>, while value: UInt32, until deadline: Nanoseconds
    ) -> Int {
        var time = ck_timespec(min(deadline, Nanoseconds(Int64.max)))
        return SystemCall(
            CK_NR_futex, address(word), Int(CK_FUTEX_WAIT_BITSET | CK_FUTEX_PRIVATE), Int(value), address(&time), 0,
            Int(UInt32.max)
        ).executed()
    }

    /// `futexWake` for waits of `futexWaitPastStandIn`.
    package static func futexWakePastStandIn(_ word: UnsafeMutablePointer<Atomic<UInt32>>, _ count: Int32) {
        _ = SystemCall(CK_NR_futex, address(word), Int(CK_FUTEX_WAKE | CK_FUTEX_PRIVATE), Int(count)).executed()
    }

    /// futex(2), FUTEX_WAIT_BITSET, on a caller's word until the deadline. Returns as the wait on an atomic does.
    static func futexWait(
        _ word: UnsafeMutablePointer<UInt32>, while value: UInt32, isPrivate: Bool, until deadline: Nanoseconds
    ) -> Int {
        var time = ck_timespec(min(deadline, Nanoseconds(Int64.max)))
        let action = CK_FUTEX_WAIT_BITSET | (isPrivate ? CK_FUTEX_PRIVATE : 0)
        return call(CK_NR_futex, address(word), Int(action), Int(value), address(&time), 0, Int(UInt32.max))
    }

    /// futex_waitv(2), 5.16: sleeps while `word` holds `value` and `other` holds 0.
    ///
    /// Returns 0 (`word` was woken), 1 (`other` was woken), or negative EAGAIN (one holds another value), EINTR, EFAULT
    /// or ENOSYS.
    static func futexWait(
        _ word: UnsafeMutablePointer<UInt32>, while value: UInt32, _ flags: UInt32,
        or other: UnsafeMutablePointer<Atomic<UInt32>>
    ) -> Int {
        var waiters = (
            ck_futex_waiter(
                value: UInt64(value), address: UInt64(UInt(bitPattern: word)), flags: flags, reserved: 0),
            ck_futex_waiter(
                value: 0, address: UInt64(UInt(bitPattern: other)), flags: CK_FUTEX2_SIZE_U32 | CK_FUTEX2_PRIVATE,
                reserved: 0)
        )
        return call(CK_NR_futex_waitv, address(&waiters), 2, 0, 0, Int(CLOCK_MONOTONIC))
    }
}
