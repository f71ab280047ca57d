internal import AIOCore
internal import CKernel

/// A simulated child process. Who runs it calls `end` when it has ended.
final class SimulatedChild {
    let process: Int32
    /// Called for each signal that is sent while it runs.
    let signalled: (Int32) -> Void
    /// The code (CLD_EXITED, CLD_KILLED, CLD_DUMPED) and the status, once it has ended.
    private(set) var outcome: (code: Int32, status: Int32)?
    fileprivate(set) var isReaped = false
    /// Its open pidfds. Weak: a process may end without having closed them.
    private struct OpenDescriptor {
        weak var description: ChildDescription?
    }
    private var descriptors: [OpenDescriptor] = []

    init(process: Int32, signalled: @escaping (Int32) -> Void) {
        self.process = process
        self.signalled = signalled
    }

    func end(code: Int32, status: Int32) {
        guard outcome == nil else { return }
        outcome = (code, status)
        changed()
    }

    fileprivate func add(_ description: ChildDescription) {
        descriptors.removeAll { $0.description == nil }
        descriptors.append(OpenDescriptor(description: description))
    }

    fileprivate func changed() { for open in descriptors { open.description?.readinessChanged() } }
}

/// The children of a host's process, in the order of their start.
struct ChildTable {
    private var children: [SimulatedChild] = []

    /// Adds a child under a process ID.
    mutating func start(_ process: Int32, signalled: @escaping (Int32) -> Void) -> SimulatedChild {
        let child = SimulatedChild(process: process, signalled: signalled)
        children.append(child)
        return child
    }

    func find(_ process: Int) -> SimulatedChild? { children.first { Int($0.process) == process } }

    mutating func remove(_ child: SimulatedChild) { children.removeAll { $0 === child } }
}

/// pidfd_open(2) of a child.
final class ChildDescription: StreamDescription {
    let child: SimulatedChild

    init(_ kernel: SimulatedKernel, _ child: SimulatedChild, flags: UInt64) {
        self.child = child
        super.init(kernel, flags: flags | CK_O_RDWR)
        child.add(self)
    }

    override var name: String { "pidfd \(child.process)" }

    override var readyEvents: UInt32 {
        guard child.outcome != nil else { return 0 }
        // pidfd_poll: a hang-up once the process has been reaped.
        return CK_POLLIN | CK_POLLRDNORM | (child.isReaped ? CK_POLLHUP : 0)
    }
}

extension SimulatedKernel {
    func answerChildCall(_ call: SystemCall) -> Int? {
        switch call.number {
        case Int(CK_NR_pidfd_open):
            guard call.a > 0 else { return -Int(EINVAL) }
            guard let child = children.find(call.a) else { return -Int(ESRCH) }
            let flags = UInt64(truncatingIfNeeded: call.b) & CK_O_NONBLOCK
            return descriptors.add(ChildDescription(self, child, flags: flags))
        case Int(CK_NR_waitid): return waitForChild(call)
        case Int(CK_NR_pidfd_send_signal):
            guard let description = descriptors[call.a] as? ChildDescription else { return -Int(EBADF) }
            guard (0...Int(CK_SIGNAL_MAX)).contains(call.b) else { return -Int(EINVAL) }
            guard !description.child.isReaped else { return -Int(ESRCH) }
            if call.b != 0, description.child.outcome == nil {
                note("signal \(call.b) to process \(description.child.process)")
                description.child.signalled(Int32(call.b))
            }
            return 0
        default: return nil
        }
    }

    /// waitid(2) by pidfd.
    private func waitForChild(_ call: SystemCall) -> Int {
        let options = Int32(truncatingIfNeeded: call.d)
        guard call.a == Int(CK_P_PIDFD), options & CK_WEXITED != 0 else { return -Int(EINVAL) }
        guard let open = descriptors[call.b] else { return -Int(EBADF) }
        guard let description = open as? ChildDescription else { return -Int(EBADF) }
        let child = description.child
        guard !child.isReaped else { return -Int(ECHILD) }
        let status = UnsafeMutablePointer<ck_child_status>(bitPattern: call.c)
        guard let outcome = child.outcome else {
            guard options & CK_WNOHANG != 0 else { return description.blocked() }
            status?.pointee.process = 0
            status?.pointee.signal = 0
            return 0
        }
        if let status {
            status.pointee = ck_child_status()
            status.pointee.signal = SIGCHLD
            status.pointee.code = outcome.code
            status.pointee.process = child.process
            status.pointee.status = outcome.status
        }
        if options & CK_WNOWAIT == 0 {
            child.isReaped = true
            children.remove(child)
            child.changed()
        }
        return 0
    }
}
