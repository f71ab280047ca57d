internal import AIOCore
internal import CKernel

/// epoll(7). The engine `threads`, which a simulation runs on, and exported descriptors wait by it.
///
/// Registrations are kept by number, in the order of their addition. Those that may be ready are candidates: a
/// registration becomes one when it is made, and with every change of its file's readiness.
final class SimulatedEpoll: OpenDescription {
    private struct Registration {
        let number: Int32
        let description: OpenDescription
        var events: UInt32
        var data: UInt64
        var isCandidate = true
        /// The number of the waiter at the description; nil while the registration is a candidate.
        var waiter: UInt64?
    }

    private var registrations: [Registration] = []

    init() { super.init(flags: UInt64(CK_O_RDWR)) }

    override var name: String { "epoll" }

    // MARK: epoll_ctl(2)

    func control(_ action: Int32, _ number: Int32, _ description: OpenDescription, _ event: ck_epoll_event?) -> Int {
        guard description.isPollable else { return -Int(EPERM) }
        guard description !== self else { return -Int(EINVAL) }
        if action == CK_EPOLL_CTL_ADD, let other = description as? SimulatedEpoll, other.watches(self) {
            return -Int(ELOOP)
        }
        let index = registrations.firstIndex { $0.number == number && $0.description === description }
        switch (action, index, event) {
        case (CK_EPOLL_CTL_ADD, nil, let event?):
            registrations.append(
                Registration(number: number, description: description, events: event.events, data: event.data))
            readinessChanged()
        case (CK_EPOLL_CTL_ADD, _, _): return -Int(EEXIST)
        case (CK_EPOLL_CTL_MOD, let index?, let event?):
            registrations[index].events = event.events
            registrations[index].data = event.data
            becomeCandidate(index)
        case (CK_EPOLL_CTL_DEL, let index?, _): remove(index)
        case (_, nil, _): return -Int(ENOENT)
        default: return -Int(EINVAL)
        }
        return 0
    }

    /// Whether it has `epoll` registered, or an epoll that does.
    private func watches(_ epoll: SimulatedEpoll) -> Bool {
        registrations.contains {
            $0.description === epoll || ($0.description as? SimulatedEpoll)?.watches(epoll) == true
        }
    }

    private func remove(_ index: Int) {
        let registration = registrations.remove(at: index)
        if let waiter = registration.waiter { registration.description.removeWaiter(waiter) }
    }

    private func becomeCandidate(_ index: Int) {
        registrations[index].isCandidate = true
        if let waiter = registrations[index].waiter {
            registrations[index].description.removeWaiter(waiter)
            registrations[index].waiter = nil
        }
        readinessChanged()
    }

    // MARK: epoll_pwait(2)

    /// Collects the events that hold, without waiting. Registrations of closed files are dropped. With the power off,
    /// every file that is waited for has an error.
    func collect(into events: UnsafeMutableBufferPointer<ck_epoll_event>, isOff: Bool) -> Int {
        dropClosed()
        if isOff { for index in registrations.indices { becomeCandidate(index) } }
        var count = 0
        for index in registrations.indices where count < events.count {
            guard let met = takeEvents(index, isOff) else { continue }
            events.initializeElement(at: count, to: ck_epoll_event(events: met, data: registrations[index].data))
            count += 1
        }
        return count
    }

    private func takeEvents(_ index: Int, _ isOff: Bool) -> UInt32? {
        guard registrations[index].isCandidate else { return nil }
        let met = isOff && isArmed(registrations[index]) ? CK_POLLERR : metEvents(registrations[index])
        let wanted = registrations[index].events
        if met == 0 || wanted & CK_EPOLLET != 0 { waitForChange(index) }
        guard met != 0 else { return nil }
        if wanted & CK_EPOLLONESHOT != 0 {
            registrations[index].events = CK_EPOLLONESHOT
            // Disarmed, without a report even of a hang-up, until EPOLL_CTL_MOD.
            registrations[index].isCandidate = false
        }
        return met
    }

    /// Whether it has not been disarmed by a report (EPOLLONESHOT).
    private func isArmed(_ registration: Registration) -> Bool {
        registration.events & ~CK_EPOLLET != CK_EPOLLONESHOT
    }

    private func metEvents(_ registration: Registration) -> UInt32 {
        guard isArmed(registration) else { return 0 }
        return registration.description.reportedEvents & (registration.events | CK_POLLERR | CK_POLLHUP)
    }

    private func waitForChange(_ index: Int) {
        registrations[index].isCandidate = false
        watch(index)
    }

    /// Has `changed` called at the next change of the file.
    private func watch(_ index: Int) {
        guard registrations[index].waiter == nil else { return }
        let (number, description) = (registrations[index].number, registrations[index].description)
        registrations[index].waiter = description.addWaiter { [weak self, unowned description] in
            self?.changed(number, description)
        }
    }

    /// Who waits for the epoll itself, by poll(2) or in another epoll, waits for a change of any of its files.
    override func addWaiter(_ action: @escaping () -> Void) -> UInt64 {
        for index in registrations.indices { watch(index) }
        return super.addWaiter(action)
    }

    private func changed(_ number: Int32, _ description: OpenDescription) {
        let index = registrations.firstIndex { $0.number == number && $0.description === description }
        guard let index else { return }
        registrations[index].waiter = nil
        registrations[index].isCandidate = true
        readinessChanged()
    }

    /// The kernel drops a registration with the last descriptor of its file.
    private func dropClosed() {
        for index in registrations.indices.reversed() where registrations[index].description.referenceCount == 0 {
            remove(index)
        }
    }

    override var readyEvents: UInt32 {
        let isReady = registrations.contains {
            $0.isCandidate && $0.description.referenceCount > 0 && metEvents($0) != 0
        }
        return isReady ? CK_POLLIN : 0
    }

    override func status(_ status: UnsafeMutablePointer<ck_statx>) -> Int {
        // An anonymous inode has no file type.
        status.pointee.mask = CK_STATX_TYPE
        status.pointee.mode = 0
        return 0
    }

    override func lastClose() {
        while !registrations.isEmpty { remove(registrations.count - 1) }
    }
}

extension SimulatedKernel {
    /// Answers calls on epolls; nil for others.
    func answerEpollCall(_ call: SystemCall) -> Int? {
        switch call.number {
        case CK_NR_epoll_create1: return descriptors.add(SimulatedEpoll())
        case CK_NR_epoll_ctl:
            let event = UnsafePointer<ck_epoll_event>(bitPattern: call.d)?.pointee
            guard let epoll = descriptors[call.a], let description = descriptors[call.c] else { return -Int(EBADF) }
            guard let epoll = epoll as? SimulatedEpoll else { return -Int(EINVAL) }
            return epoll.control(Int32(call.b), Int32(call.c), description, event)
        case CK_NR_epoll_pwait, CK_NR_epoll_pwait2:
            guard let description = descriptors[call.a] else { return -Int(EBADF) }
            guard let epoll = description as? SimulatedEpoll, call.c > 0 else { return -Int(EINVAL) }
            let events = UnsafeMutablePointer<ck_epoll_event>(bitPattern: call.b)
            // Never waits: the driver lets time pass.
            return epoll.collect(
                into: UnsafeMutableBufferPointer(start: events, count: events == nil ? 0 : call.c), isOff: isOff)
        default: return nil
        }
    }
}
