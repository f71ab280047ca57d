internal import AIOCore
internal import CKernel

/// A child of this process, which can be waited for and signalled. It is identified by a pidfd, so a reused process ID
/// is no danger.
///
/// A child is waited for once, by this object alone, however it was started (posix_spawn(3), fork(2)). An object that
/// is dropped before a wait is reported in the log, since the child remains a zombie when it ends.
public final class ChildProcess: Sendable {
    /// How a process ended.
    public enum Outcome: Sendable, Hashable {
        /// It exited with this code.
        case exited(Int32)
        /// A signal killed it; `dumpedCore` says whether it left a core dump.
        case killed(by: Signal, dumpedCore: Bool)
    }

    /// The runtime that waits for the process.
    public let runtime: IORuntime
    /// The process ID. After ``wait(deadline:)`` it may belong to another process.
    public let processID: Int32
    private let descriptor: Descriptor
    /// Distinguishes the pidfd from another file under its number, if the program has closed the pidfd. Since Linux 6.9
    /// each pidfd has an inode of its own; before, all of them share one.
    private let identity: FileIdentity
    private let known = Guarded<Outcome?>(nil)

    /// Takes over a child that has not been waited for. Does not wait. Kernel call: pidfd_open(2).
    ///
    /// - Throws: ``IOError/Code/noSuchProcess`` if the process is not such a child;
    ///   ``IOError/Code/tooManyOpenFiles``.
    public init(adopting processID: Int32, runtime: IORuntime = .shared) throws(IOError) {
        try runtime.check(Self.opening)
        let number = Kernel.processDescriptor(processID)
        guard number >= 0 else { throw IOError(result: Int32(number), Self.opening) }
        self.runtime = runtime
        self.processID = processID
        descriptor = Descriptor(GuestNumbers.moveUp(Int32(number)), kind: .stream)
        var errno: Int32 = 0
        guard let identity = FileIdentity(ofDescriptor: descriptor.number, errno: &errno) else {
            Kernel.close(descriptor.number)
            throw IOError(result: -errno, Self.opening)
        }
        self.identity = identity
        let answer = Self.look(descriptor.number, CK_WEXITED | CK_WNOHANG | CK_WNOWAIT)
        guard answer.result >= 0 else {
            known.withLock { $0 = .exited(0) }
            guard answer.result == -Int(ECHILD) else { throw IOError(result: Int32(answer.result), Self.opening) }
            let advice = "process \(processID) is not a child of this process, or was already waited for"
            throw IOError(
                .noSuchProcess, Self.opening, errno: Errno(rawValue: Int32(-answer.result)), advice: advice)
        }
    }

    private static var opening: String { "pidfd_open" }

    deinit {
        if known.withLock({ $0 == nil }) {
            runtime.configuration.log("child process \(processID) was dropped before it was waited for")
        }
        if isOurs { Kernel.close(descriptor.number) }
    }

    /// 0 if the number still is the pidfd's; -EBADF if it is not; another negative errno if the kernel does not tell.
    private func checkNumber() -> Int32 {
        var errno: Int32 = 0
        guard let found = FileIdentity(ofDescriptor: descriptor.number, errno: &errno) else { return -errno }
        return found == identity ? 0 : -EBADF
    }

    /// For releases. If the kernel does not tell, it is asked once more: the pidfd, or the child, would be left.
    private var isOurs: Bool {
        let result = checkNumber()
        return (result == 0 || result == -EBADF ? result : checkNumber()) == 0
    }

    private func check(_ name: String) throws(IOError) {
        let result = checkNumber()
        guard result < 0 else { return }
        var error = IOError(result: result, name)
        if error.code == .badDescriptor { error.advice = "the program has closed the pidfd" }
        throw error
    }

    // MARK: Waiting

    /// Waits until the process has ended, and returns how. Several tasks may wait, also repeatedly; all get the same
    /// result.
    ///
    /// No thread blocks. After ``IOError/Code/cancelled`` or ``IOError/Code/deadlineExceeded`` the child can be waited
    /// for again. Kernel call: waitid(2).
    ///
    /// - Throws: ``IOError/Code/cancelled``, ``IOError/Code/deadlineExceeded``, or ``IOError/Code/noSuchProcess`` if
    ///   something else waited for the child, or if SIGCHLD is ignored, in which case the kernel reaps children itself.
    public func wait(deadline: Deadline = .never) async throws(IOError) -> Outcome {
        try runtime.check("waitid")
        try IOLoop.checkBeginning(deadline.nanoseconds, "waitid")
        if let outcome = known.withLock({ $0 }) { return outcome }
        try check("waitid")
        let status = UnsafeMutablePointer<ck_child_status>.allocate(capacity: 1)
        status.initialize(to: ck_child_status())
        defer { status.deallocate() }
        do throws(IOError) {
            // WNOWAIT does not reap the child, so every waiter sees the result.
            let operation = Operation.waitForChild(descriptor, status: status, options: CK_WEXITED | CK_WNOWAIT)
            _ = try await runtime.perform(operation, deadline.nanoseconds, "waitid", nil)
        } catch {
            // Another task has reaped the child in the meantime.
            if error.code == .noSuchProcess, let outcome = known.withLock({ $0 }) { return outcome }
            throw error
        }
        return reap(Outcome(status.pointee))
    }

    /// The first caller reaps, under the lock, so a task that finds no child finds the outcome.
    private func reap(_ outcome: Outcome) -> Outcome {
        known.withLock { known in
            if known == nil {
                if isOurs { _ = Self.look(descriptor.number, CK_WEXITED | CK_WNOHANG) }
                known = outcome
            }
            return outcome
        }
    }

    private static func look(_ number: Int32, _ options: Int32) -> (result: Int, status: ck_child_status) {
        var status = ck_child_status()
        let result = Kernel.waitForChild(number, &status, options)
        return (result, status)
    }

    // MARK: Signals

    /// Sends a signal to the process. A process that has ended and was not waited for accepts it without effect. Does
    /// not wait. Kernel call: pidfd_send_signal(2).
    ///
    /// - Throws: ``IOError/Code/noSuchProcess`` after a wait; ``IOError/Code/permissionDenied`` for another user's
    ///   process; ``IOError/Code/invalidArgument`` for a number that is no signal.
    public func signal(_ signal: Signal) throws(IOError) {
        try runtime.check("kill")
        try check("kill")
        let result = Kernel.sendSignal(signal.rawValue, toProcess: descriptor.number)
        guard result >= 0 else { throw IOError(result: Int32(result), "kill") }
    }
}

extension ChildProcess.Outcome {
    fileprivate init(_ status: ck_child_status) {
        switch status.code {
        case CK_CLD_KILLED, CK_CLD_DUMPED:
            self = .killed(by: Signal(rawValue: status.status), dumpedCore: status.code == CK_CLD_DUMPED)
        default:
            self = .exited(status.status)
        }
    }
}
