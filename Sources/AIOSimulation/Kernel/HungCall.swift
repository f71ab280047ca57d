internal import AIO
internal import AIOCore
internal import CKernel
internal import FaultInjection

/// What a call waits for that does not return, or late: a device or a server that does not answer
/// (`SimulatedFault.Effect.hang`).
final class HungCall: OpenDescription {
    let number: Int
    /// Whether the device has answered: the call is then executed.
    private(set) var isAnswered = false
    private let line: String

    init(_ call: SystemCall, _ kernel: SimulatedKernel) {
        number = call.number
        line = CallDescriptions.line(call, kernel)
        super.init(flags: 0)
    }

    override var name: String { "\(line), which hangs" }

    func answer() {
        isAnswered = true
        readinessChanged()
    }
}

/// The directions in which an open description does not answer, for calls that never wait: such a call would have a
/// device wait, or wait for it by epoll(7).
struct Stalls {
    /// POLLIN, POLLOUT, or both.
    fileprivate(set) var directions: UInt32 = 0
    /// How long the next call that may wait hangs, where nothing waits by epoll(7): for regular files.
    fileprivate var time: Nanoseconds?
    /// Distinguishes a stall from those before it.
    fileprivate var count = 0

    /// Of the events that hold, those that are reported.
    func reported(_ events: UInt32) -> UInt32 {
        guard directions != 0 else { return events }
        let hidden = CK_POLLERR | CK_POLLHUP | (directions & CK_POLLIN != 0 ? CK_POLLIN | CK_POLLRDNORM : 0)
        return events & ~hidden & ~(directions & CK_POLLOUT) & ~(directions & CK_POLLIN != 0 ? CK_POLLRDHUP : 0)
    }
}

extension SimulatedKernel {
    /// Has a call hang for a time, or for ever.
    ///
    /// A call that must not wait fails with EAGAIN, and what it is on stalls in its direction: a socket or pipe until
    /// the time is over or it is shut down, a regular file until the next call, which may wait and hangs.
    func hang(_ call: SystemCall, for time: Nanoseconds?) -> Int {
        guard !world.isEnding else { return perform(call) }
        if mustNotWait(call) { return stall(call, for: time) }
        let hung = HungCall(call, self)
        if let time { world.schedule(after: time) { [weak hung] in hung?.answer() } }
        return wait(for: hung)
    }

    private func wait(for hung: HungCall) -> Int {
        blockedOn = [hung]
        giveUp = nil
        return Self.wouldBlock
    }

    /// The result of a call that hung, and is made again; nil for another call.
    func goOnHanging(_ call: SystemCall) -> Int? {
        guard let hung = resumed, hung.number == call.number, !mustNotWait(call) else { return nil }
        resumed = nil
        return hung.isAnswered ? perform(call) : wait(for: hung)
    }

    // MARK: Calls that never wait

    private func stall(_ call: SystemCall, for time: Nanoseconds?) -> Int {
        guard let description = descriptors[call.a] else { return perform(call) }
        hasStalls = true
        description.stalls.directions |= Self.direction(of: call.number)
        description.stalls.time = time
        description.stalls.count += 1
        let count = description.stalls.count
        if description.isPollable, let time {
            world.schedule(after: time) { [weak description] in
                if description?.stalls.count == count { description?.endStalls() }
            }
        }
        return -Int(call.number == CK_NR_connect ? EINPROGRESS : EAGAIN)
    }

    /// The result of a call on what is stalled; nil for any other call.
    func answerStalled(_ call: SystemCall) -> Int? {
        guard let description = descriptors[call.a], description.stalls.directions != 0 else { return nil }
        if call.number == CK_NR_shutdown { description.endStalls() }
        guard description.stalls.directions & Self.direction(of: call.number) != 0 else { return nil }
        if mustNotWait(call) { return -Int(call.number == CK_NR_connect ? EALREADY : EAGAIN) }
        guard !description.isPollable else {
            blockedOn = [description]
            giveUp = nil
            return Self.wouldBlock
        }
        let time = description.stalls.time
        description.endStalls()
        return hang(call, for: time)
    }

    private func mustNotWait(_ call: SystemCall) -> Bool {
        guard Self.direction(of: call.number) != 0, let description = descriptors[call.a] else { return false }
        if description.isPollable, description.flags & CK_O_NONBLOCK != 0 { return true }
        return switch call.number {
        case CK_NR_preadv2, CK_NR_pwritev2: call.f & Int(CK_RWF_NOWAIT) != 0
        case CK_NR_sendto, CK_NR_recvfrom: call.d & Int(CK_MSG_DONTWAIT) != 0
        case CK_NR_sendmsg, CK_NR_recvmsg: call.c & Int(CK_MSG_DONTWAIT) != 0
        default: false
        }
    }

    /// The event that a call on a descriptor waits for; 0 for a call that waits for none.
    private static func direction(of number: Int) -> UInt32 {
        switch number {
        case CK_NR_read, CK_NR_readv, CK_NR_pread64, CK_NR_preadv, CK_NR_preadv2, CK_NR_recvfrom, CK_NR_recvmsg,
            CK_NR_accept4:
            CK_POLLIN
        case CK_NR_write, CK_NR_writev, CK_NR_pwrite64, CK_NR_pwritev, CK_NR_pwritev2, CK_NR_sendto, CK_NR_sendmsg,
            CK_NR_connect:
            CK_POLLOUT
        default: 0
        }
    }
}

extension OpenDescription {
    /// The events that poll(2) and epoll(7) report.
    var reportedEvents: UInt32 { stalls.reported(readyEvents) }

    fileprivate func endStalls() {
        stalls.directions = 0
        readinessChanged()
    }
}
