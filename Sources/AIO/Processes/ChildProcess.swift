internal import AIOCore
internal import CKernel

/// A child of this process, to be waited for and sent signals to: by pidfd, which names it and no other, also when its
/// number has been given to another process.
///
/// However it was started (posix_spawn(3), fork(2)), it is waited for once: by this, and by nobody else. One that is
/// dropped before somebody waited is reported in the log, since it stays in the system's table when it ends.
public final class ChildProcess: Sendable {
    /// How a process ended.
    public enum Outcome: Sendable, Hashable {
        /// By itself, with this code.
        case exited(Int32)
        /// By a signal; whether its memory was dumped.
        case killed(by: Signal, dumpedCore: Bool)
    }

    public let runtime: IORuntime
    /// Its number. After `wait` it may be another's.
    public let processID: Int32
    private let descriptor: Descriptor
    /// Tells its pidfd from what else may have the number, if the program has closed that (a pidfd has an inode of its own
    /// since Linux 6.9; before that, all have one).
    private let identity: FileIdentity
    private let known = Guarded<Outcome?>(nil)

    /// Takes over a child that nobody has waited for yet. Throws `noSuchProcess` if it is none. pidfd_open(2).
    public init(adopting processID: Int32, runtime: IORuntime = .shared) throws(IOError) {
        try runtime.check(Self.opening)
        let number = Kernel.processDescriptor(processID)
        guard number >= 0 else { throw IOError(result: Int32(number), Self.opening) }
        self.runtime = runtime
        self.processID = processID
        descriptor = Descriptor(GuestNumbers.moveUp(Int32(number)), kind: .stream)
        identity = FileIdentity(ofDescriptor: descriptor.number)
        let answer = Self.look(descriptor.number, CK_WEXITED | CK_WNOHANG | CK_WNOWAIT)
        guard answer.result >= 0 else {
            known.withLock { $0 = .exited(0) }
            let advice = "\(processID) is no child of this process, or was waited for already"
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

    private var isOurs: Bool { FileIdentity(ofDescriptor: descriptor.number) == identity }

    private func check(_ name: String) throws(IOError) {
        guard isOurs else {
            throw IOError(
                .badDescriptor, name, errno: Errno(rawValue: EBADF), advice: "the program has closed the pidfd")
        }
    }

    // MARK: Waiting

    /// Waits until the process has ended, and tells how. Several tasks may wait, and ask again: all get the same answer.
    ///
    /// No thread waits. Throws `cancelled` or `deadlineExceeded`, after which it can be waited for again, and
    /// `noSuchProcess` if somebody else waited for it (or SIGCHLD is ignored, as which the kernel takes it). waitid(2).
    public func wait(deadline: Deadline = .never) async throws(IOError) -> Outcome {
        try runtime.check("waitid")
        try IOLoop.checkBeginning(deadline.nanoseconds, "waitid")
        if let outcome = known.withLock({ $0 }) { return outcome }
        try check("waitid")
        let status = UnsafeMutablePointer<ck_child_status>.allocate(capacity: 1)
        status.initialize(to: ck_child_status())
        defer { status.deallocate() }
        do throws(IOError) {
            // Without reaping, so that all who wait are told.
            let operation = Operation.waitForChild(descriptor, status: status, options: CK_WEXITED | CK_WNOWAIT)
            _ = try await runtime.perform(operation, deadline.nanoseconds, "waitid", nil)
        } catch {
            // Another task has reaped it meanwhile.
            if error.code == .noSuchProcess, let outcome = known.withLock({ $0 }) { return outcome }
            throw error
        }
        return reap(Outcome(status.pointee))
    }

    /// The first one reaps, under the lock: whoever then finds no child finds the outcome.
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

    /// Sends a signal to the process, and to no other. One that has ended and was not waited for takes it without effect.
    /// Throws `noSuchProcess` after that, and `permissionDenied` for a process of another user's. Does not wait.
    /// pidfd_send_signal(2).
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
