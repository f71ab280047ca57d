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

/// The directions in which a socket or pipe does not answer, for calls that never wait: the program then waits by
/// epoll(7).
struct Stalls {
    /// POLLIN, POLLOUT, or both.
    fileprivate(set) var directions: UInt32 = 0
    /// Distinguishes a stall from those before it.
    fileprivate var count = 0

    /// Of the events that hold, those that are reported.
    func reported(_ events: UInt32) -> UInt32 {
        guard directions != 0 else { return events }
        let hidden = CK_POLLERR | CK_POLLHUP | (directions & CK_POLLIN != 0 ? CK_POLLIN | CK_POLLRDNORM : 0)
        return events & ~hidden & ~(directions & CK_POLLOUT) & ~(directions & CK_POLLIN != 0 ? CK_POLLRDHUP : 0)
    }
}

/// Calls that had to be answered at once, on files and paths that do not answer. The next call of the kind on the file
/// that may wait hangs: with RWF_NOWAIT or RESOLVE_CACHED nothing is begun.
struct StalledCalls {
    private struct Subject: Hashable {
        /// `read` and `write` for all forms of either.
        let kind: String
        let file: [UInt8]?

        init(_ form: CallForm, _ files: [[UInt8]]) {
            kind = "\(form.names.last ?? form.name)"
            file = files.first
        }
    }

    /// How long the call hangs; nil for ever.
    private var times: [Subject: Nanoseconds?] = [:]

    var isEmpty: Bool { times.isEmpty }

    func has(_ form: CallForm, _ files: [[UInt8]]) -> Bool { times[Subject(form, files)] != nil }

    mutating func add(_ form: CallForm, _ files: [[UInt8]], for time: Nanoseconds?) {
        times[Subject(form, files)] = .some(time)
    }

    /// Returns nil if there is none.
    mutating func take(_ form: CallForm, _ files: [[UInt8]]) -> Nanoseconds?? {
        times.removeValue(forKey: Subject(form, files))
    }
}

extension SimulatedKernel {
    /// Has a call hang for a time, or for ever.
    ///
    /// A call that must not wait fails with EAGAIN, and what it is on stalls: a socket or pipe in the call's direction,
    /// until the time is over or it is shut down; a file or a path until the next call of the kind, which may wait and
    /// hangs.
    func hang(_ call: SystemCall, _ form: CallForm, _ files: [[UInt8]], for time: Nanoseconds?) -> Int {
        guard !world.isEnding else { return perform(call) }
        if mustNotWait(call) { return stall(call, form, files, for: time) }
        return hang(call, for: time)
    }

    private func hang(_ call: SystemCall, for time: Nanoseconds?) -> Int {
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

    private func stall(
        _ call: SystemCall, _ form: CallForm, _ files: [[UInt8]], for time: Nanoseconds?
    ) -> Int {
        guard let description = descriptors[call.a], description.isPollable else {
            stalledCalls.add(form, files, for: time)
            return -Int(EAGAIN)
        }
        hasStalls = true
        description.stalls.directions |= Self.direction(of: call.number)
        description.stalls.count += 1
        let count = description.stalls.count
        if let time {
            world.schedule(after: time) { [weak description] in
                if description?.stalls.count == count { description?.endStalls() }
            }
        }
        return -Int(call.number == CK_NR_connect ? EINPROGRESS : EAGAIN)
    }

    /// The result of a call on a file or a path that is stalled; nil for any other call.
    func answerStalled(_ call: SystemCall, _ form: CallForm, _ files: [[UInt8]]) -> Int? {
        guard !stalledCalls.isEmpty, stalledCalls.has(form, files) else { return nil }
        if mustNotWait(call) { return -Int(EAGAIN) }
        return stalledCalls.take(form, files).map { hang(call, for: $0) }
    }

    /// The result of a call on a socket or pipe that is stalled; nil for any other call.
    func answerStalled(_ call: SystemCall) -> Int? {
        guard let description = descriptors[call.a], description.stalls.directions != 0 else { return nil }
        if call.number == CK_NR_shutdown { description.endStalls() }
        guard description.stalls.directions & Self.direction(of: call.number) != 0 else { return nil }
        if mustNotWait(call) { return -Int(call.number == CK_NR_connect ? EALREADY : EAGAIN) }
        blockedOn = [description]
        giveUp = nil
        return Self.wouldBlock
    }

    private func mustNotWait(_ call: SystemCall) -> Bool {
        if call.number == CK_NR_openat2 {
            let how = UnsafePointer<ck_open_how>(bitPattern: call.c)
            return how.map { $0.pointee.resolve & CK_RESOLVE_CACHED != 0 } ?? false
        }
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
