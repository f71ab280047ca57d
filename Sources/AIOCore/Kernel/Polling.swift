public import CKernel

/// Readiness of descriptors.
extension Kernel {
    /// epoll_create1(2), close-on-exec.
    public static func epollCreate() -> Int { call(CK_NR_epoll_create1, Int(CK_EPOLL_CLOEXEC)) }

    /// epoll_ctl(2).
    @discardableResult
    public static func epollControl(
        _ epoll: Int32, _ action: Int32, _ descriptor: Int32, _ events: UInt32, _ data: UInt64
    ) -> Int {
        var event = ck_epoll_event(events: events, data: data)
        return call(CK_NR_epoll_ctl, Int(epoll), Int(action), Int(descriptor), address(&event))
    }

    /// epoll_pwait2(2), or before 5.11 epoll_pwait(2), whose timeout is rounded up to milliseconds.
    public static func epollWait(
        _ epoll: Int32, _ events: UnsafeMutablePointer<ck_epoll_event>, _ capacity: Int, until deadline: Nanoseconds
    ) -> Int {
        if deadline == .never || deadline == 0 {
            return call(CK_NR_epoll_pwait, Int(epoll), address(events), capacity, deadline == 0 ? 0 : -1, 0, 8)
        }
        let now = now()
        let remaining = deadline > now ? deadline &- now : 0
        var time = ck_timespec(remaining)
        let result = call(CK_NR_epoll_pwait2, Int(epoll), address(events), capacity, address(&time), 0, 8)
        guard isRefusal(result) else { return result }
        let timeoutMs = Int(min((remaining &+ 999_999) / 1_000_000, Nanoseconds(Int32.max)))
        return call(CK_NR_epoll_pwait, Int(epoll), address(events), capacity, timeoutMs, 0, 8)
    }

    /// Whether epoll_pwait2(2) exists: it then fails with EBADF here, not ENOSYS.
    static func hasEpollPwait2() -> Bool { call(CK_NR_epoll_pwait2, -1, 0, 0, 0, 0, 8) != -Int(ENOSYS) }

    /// ppoll(2) with a relative timeout; nil waits indefinitely.
    public static func ppoll(
        _ descriptors: UnsafeMutablePointer<ck_pollfd>, _ count: Int, _ timeout: UnsafeMutablePointer<ck_timespec>?
    ) -> Int {
        call(CK_NR_ppoll, address(descriptors), count, address(timeout), 0, 8)
    }

    /// eventfd(2), non-blocking and close-on-exec.
    public static func eventDescriptor() -> Int {
        call(CK_NR_eventfd2, 0, Int(CK_EFD_CLOEXEC | CK_EFD_NONBLOCK))
    }

    /// timerfd_create(2) on the monotonic clock, non-blocking and close-on-exec.
    public static func timerDescriptor() -> Int {
        call(CK_NR_timerfd_create, Int(CLOCK_MONOTONIC), Int(CK_TFD_CLOEXEC | CK_TFD_NONBLOCK))
    }

    /// timerfd_settime(2): expires at an absolute time, and every `interval` from then on; 0 disarms.
    static func setTimer(_ timer: Int32, at deadline: Nanoseconds, interval: Nanoseconds) -> Int {
        var value = ck_itimerspec(interval: ck_timespec(interval), value: ck_timespec(min(deadline, Self.timeMax)))
        return call(CK_NR_timerfd_settime, Int(timer), Int(CK_TFD_TIMER_ABSTIME), address(&value), 0)
    }

    /// timerfd_settime(2) to an absolute time; nil disarms.
    @discardableResult
    public static func armTimer(_ timer: Int32, at deadline: Nanoseconds?) -> Int {
        setTimer(timer, at: deadline.map { max($0, 1) } ?? 0, interval: 0)
    }

    /// The kernel rejects times beyond 63 bits of nanoseconds.
    private static var timeMax: Nanoseconds { Nanoseconds(Int64.max) }

    /// timerfd_gettime(2): the interval; nil if the descriptor is not a timer.
    static func timerInterval(_ timer: Int32) -> Nanoseconds? {
        var value = ck_itimerspec()
        guard call(CK_NR_timerfd_gettime, Int(timer), address(&value)) == 0 else { return nil }
        return Nanoseconds(clamping: value.interval.seconds) &* 1_000_000_000
            &+ Nanoseconds(clamping: value.interval.nanoseconds)
    }

    /// Sleeps until the deadline: ppoll(2) without descriptors.
    static func sleep(until deadline: Nanoseconds) {
        let now = now()
        guard deadline > now else { return }
        var time = ck_timespec(deadline &- now)
        _ = call(CK_NR_ppoll, 0, 0, address(&time), 0, 8)
    }
}

extension Kernel {
    /// Adds one to an eventfd, which wakes its waiters. A saturated counter (EAGAIN) has the same effect. For eventfds
    /// of the caller; the library's own wake-up descriptors are `MarkedTimer`s, which cannot corrupt a reused number.
    public static func wake(_ eventDescriptor: Int32) {
        var one: UInt64 = 1
        _ = write(eventDescriptor, &one, 8)
    }

    /// Returns 0 if the descriptor is an eventfd, otherwise the errno of io_submit(2) for such a descriptor: -EBADF if
    /// it is not open, -EINVAL if it is another file; and the kernel's error if it does not tell.
    public static func checkEvent(_ descriptor: Int32) -> Int {
        var status = ck_statx()
        let found = Kernel.status(descriptor, CK_STATX_TYPE, &status)
        guard found >= 0 else { return found }
        // Of the files without a type, only an eventfd accepts a write of 8 zero bytes. They add nothing to it.
        var zero: UInt64 = 0
        guard status.mode & CK_S_IFMT == 0, write(descriptor, &zero, 8) == 8 else { return -Int(EINVAL) }
        return 0
    }

    /// Resets a non-blocking eventfd to zero.
    public static func clearEvent(_ eventDescriptor: Int32) {
        var count: UInt64 = 0
        _ = read(eventDescriptor, &count, 8)
    }
}
