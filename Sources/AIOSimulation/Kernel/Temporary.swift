internal import AIOCore
internal import CKernel

final class TemporaryTimer: OpenDescription {
    var value = ck_itimerspec()
    override var readyEvents: UInt32 {
        value.value.seconds != 0 || value.value.nanoseconds != 0 ? CK_POLLIN : 0
    }
}

extension SimulatedKernel {
    func answerTemporary(_ call: SystemCall) -> Int? {
        switch call.number {
        case CK_NR_timerfd_create: return descriptors.add(TemporaryTimer(flags: 0))
        case CK_NR_timerfd_settime:
            guard let timer = descriptors[call.a] as? TemporaryTimer else { return -Int(EBADF) }
            timer.value = UnsafePointer<ck_itimerspec>(bitPattern: call.c)!.pointee
            timer.readinessChanged()
            return 0
        case CK_NR_timerfd_gettime:
            guard let timer = descriptors[call.a] as? TemporaryTimer else { return -Int(EBADF) }
            UnsafeMutablePointer<ck_itimerspec>(bitPattern: call.b)!.pointee = timer.value
            return 0
        default: return nil
        }
    }
}
