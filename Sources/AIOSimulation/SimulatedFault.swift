public import AIO
public import AIOCore

/// Something that goes wrong in a simulated host: a system call fails, transfers less than it could, reads wrong bytes,
/// takes long, or never returns.
public struct SimulatedFault: Sendable, Hashable {
    /// What happens to the call.
    public enum Effect: Sendable, Hashable {
        /// The call fails with this error. A failed fsync(2) also loses what it should have saved, as it does on Linux.
        case error(Errno)
        /// A read or write transfers about half of its bytes.
        case short
        /// One bit of what a read returns is wrong.
        case bitFlip
        /// The call never returns, like one on a disk or a server that does not answer.
        ///
        /// An operation that hangs ends by its deadline, by a cancel of its task, or by a shutdown of its runtime; one
        /// on a connection by `shutdownWrite` as well. A call that the program makes outside of an operation, for
        /// example to make a socket, stops its task, and no cancel helps; the others go on. So does statx(2) where the
        /// runtime makes it on the calling thread (`inlineAttempts`). What still hangs when the body returns, or when
        /// the power goes off, ends with it. If nothing else is left that could happen, the run ends with
        /// ``SimulationError/Reason/deadlock``, and the error names the call.
        ///
        /// A call that must not wait, with RWF_NOWAIT, MSG_DONTWAIT or RESOLVE_CACHED, fails with EAGAIN, and the next
        /// call of the kind on the same file hangs.
        case hang
        /// The call takes this much longer: it hangs, and is then executed.
        case slow(Duration)
    }

    /// Which of the calls it happens to.
    public enum Occurrence: Sendable, Hashable {
        /// The n-th that matches, counted from 1.
        case nth(Int)
        /// One in so many, by the seed.
        case oneIn(Int)
        /// Each of them.
        case always
    }

    /// The system call's name as it is in a story, for example "fdatasync" or "pwritev2"; "read" and "write" stand for
    /// all their forms, "memory" for the calls that may fail for want of memory, "descriptors" for those that make one.
    /// nil for every call.
    public var call: String?
    /// The beginning of the name of a file that the call is on, as it is in a story; nil for every file.
    public var path: String?
    /// Whether `path` is the file's whole name, and not only how it begins.
    public var isWholeName = false
    /// Which of the matching calls.
    public var occurrence: Occurrence
    /// What happens to it.
    public var effect: Effect

    /// A fault of a system call; without a name, of every call.
    public init(_ effect: Effect, _ occurrence: Occurrence, of call: String? = nil, on path: String? = nil) {
        self.effect = effect
        self.occurrence = occurrence
        self.call = call
        self.path = path
    }

    /// A fault of a system call on the file of this name; nil for calls on any file, or on none.
    public init(_ effect: Effect, _ occurrence: Occurrence, of call: String, onExactly name: String?) {
        self.init(effect, occurrence, of: call, on: name)
        isWholeName = name != nil
    }
}

extension SimulatedFault: CustomStringConvertible {
    /// The expression that makes the fault, for a test.
    public var description: String {
        let call = call.map { ", of: \($0.debugDescription)" } ?? ""
        let path = path.map { ", \(isWholeName ? "onExactly" : "on"): \($0.debugDescription)" } ?? ""
        return "SimulatedFault(\(effect), \(occurrence)\(call)\(path))"
    }
}

extension SimulatedFault.Effect: CustomStringConvertible {
    /// The expression that makes the effect; an error's with its name as a comment.
    public var description: String {
        switch self {
        case .error(let errno): ".error(Errno(rawValue: \(errno.rawValue)) /* \(errno) */)"
        case .short: ".short"
        case .bitFlip: ".bitFlip"
        case .hang: ".hang"
        case .slow(let time): ".slow(.nanoseconds(\(time.nanoseconds)))"
        }
    }
}

extension SimulatedFault.Occurrence: CustomStringConvertible {
    /// The expression that makes it.
    public var description: String {
        switch self {
        case .nth(let number): ".nth(\(number))"
        case .oneIn(let count): ".oneIn(\(count))"
        case .always: ".always"
        }
    }
}

/// A fault that happened in a run, by chance or by plan.
public struct InjectedFault: Sendable, Hashable, CustomStringConvertible {
    /// The fault of this call alone. A plan of all that happened in a run, instead of chance, repeats the run.
    public let fault: SimulatedFault
    /// The number of the system call, counted from 1 over all hosts, as in ``SimulatedCrash/call``.
    public let call: Int
    /// When it happened, on the virtual clock, in nanoseconds.
    public let time: Nanoseconds

    /// One line: the call's number, and the expression that makes the fault.
    public var description: String { "call \(call): \(fault)" }
}
