internal import AIOCore
internal import CKernel

extension SimulatedKernel {
    /// Answers calls on sockets, pipes and other streams; nil for others.
    func answerStreamCall(_ call: SystemCall) -> Int? {
        let result =
            answerSocketCall(call) ?? answerPipeCall(call) ?? answerTransferCall(call) ?? answerWaitingCall(call)
            ?? answerChildCall(call) ?? answerFutexCall(call) ?? answerDescriptorCall(call)
        // A segment on the loopback interface is processed before the call returns, as in the kernel's softirq.
        world.network.deliverLoopback()
        guard result == Self.wouldBlock, call.number == CK_NR_connect else { return result }
        // What the connect waits for may have happened in the delivery, before anybody could wait for it.
        return answerSocketCall(call)
    }

    /// poll(2), and the descriptors made for it.
    private func answerWaitingCall(_ call: SystemCall) -> Int? {
        switch call.number {
        case Int(CK_NR_ppoll): return poll(call)
        case Int(CK_NR_eventfd2):
            let flags = UInt64(truncatingIfNeeded: call.b)
            guard flags & ~(CK_O_NONBLOCK | CK_O_CLOEXEC | 1) == 0 else { return -Int(EINVAL) }
            let event = EventDescription(
                self, count: UInt64(UInt32(truncatingIfNeeded: call.a)), isSemaphore: flags & 1 != 0,
                flags: flags & CK_O_NONBLOCK)
            return descriptors.add(event, closesOnExec: flags & CK_O_CLOEXEC != 0)
        case Int(CK_NR_timerfd_create):
            let flags = UInt64(truncatingIfNeeded: call.b)
            guard flags & ~(CK_O_NONBLOCK | CK_O_CLOEXEC) == 0 else { return -Int(EINVAL) }
            let timer = TimerDescription(self, flags: flags & CK_O_NONBLOCK)
            return descriptors.add(timer, closesOnExec: flags & CK_O_CLOEXEC != 0)
        case Int(CK_NR_timerfd_settime): return setTimer(call)
        case Int(CK_NR_timerfd_gettime):
            guard let open = descriptors[call.a] else { return -Int(EBADF) }
            guard let timer = open as? TimerDescription else { return -Int(EINVAL) }
            guard let value = UnsafeMutablePointer<ck_itimerspec>(bitPattern: call.b) else { return -Int(EFAULT) }
            value.pointee = Self.timerValue(timer)
            return 0
        default: return nil
        }
    }

    private func setTimer(_ call: SystemCall) -> Int {
        guard let value = UnsafePointer<ck_itimerspec>(bitPattern: call.c)?.pointee else { return -Int(EFAULT) }
        guard Self.isTime(value.value), Self.isTime(value.interval), call.b & ~3 == 0 else { return -Int(EINVAL) }
        guard let open = descriptors[call.a] else { return -Int(EBADF) }
        guard let timer = open as? TimerDescription else { return -Int(EINVAL) }
        if let old = UnsafeMutablePointer<ck_itimerspec>(bitPattern: call.d) { old.pointee = Self.timerValue(timer) }
        timer.set(
            first: Nanoseconds(value.value), interval: Nanoseconds(value.interval),
            isAbsolute: call.b & Int(CK_TFD_TIMER_ABSTIME) != 0)
        return 0
    }

    private static func isTime(_ time: ck_timespec) -> Bool {
        time.seconds >= 0 && (0..<1_000_000_000).contains(time.nanoseconds)
    }

    private static func timerValue(_ timer: TimerDescription) -> ck_itimerspec {
        ck_itimerspec(
            interval: ck_timespec(timer.setting.interval), value: ck_timespec(timer.setting.remaining))
    }

    /// ppoll(2). Who waits in it looks after the timeout (`timeout`).
    private func poll(_ call: SystemCall) -> Int {
        guard call.b >= 0, call.b <= descriptors.limit else { return -Int(EINVAL) }
        let entries = UnsafeMutablePointer<ck_pollfd>(bitPattern: call.a)
        guard entries != nil || call.b == 0 else { return -Int(EFAULT) }
        var readyCount = 0
        for index in 0..<call.b {
            let events = readyEvents(entries![index])
            entries![index].returned = events
            if events != 0 { readyCount += 1 }
        }
        guard readyCount == 0 else { return readyCount }
        let timeout = UnsafePointer<ck_timespec>(bitPattern: call.c).map { Nanoseconds($0.pointee) }
        guard timeout != 0 else { return 0 }
        blockedOn = (0..<call.b).compactMap { descriptors[Int(entries![$0].descriptor)] }
        return Self.wouldBlock
    }

    /// How long a call waits at most, from its beginning on; nil for one that does not end by itself.
    func timeout(of call: SystemCall) -> Nanoseconds? {
        let time: ck_timespec? =
            switch call.number {
            case CK_NR_ppoll: UnsafePointer<ck_timespec>(bitPattern: call.c)?.pointee
            default: nil
            }
        return time.map { Nanoseconds($0) }
    }

    private func readyEvents(_ entry: ck_pollfd) -> Int16 {
        guard entry.descriptor >= 0 else { return 0 }
        guard let description = descriptors[Int(entry.descriptor)] else { return Int16(CK_POLLNVAL) }
        let wanted = UInt32(UInt16(bitPattern: entry.events)) | CK_POLLERR | CK_POLLHUP
        return Int16(truncatingIfNeeded: description.reportedEvents & wanted)
    }
}
