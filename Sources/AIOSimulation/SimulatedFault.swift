public import AIO

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
        /// on a connection by `shutdownWrite` or a close as well. A call that the program makes outside of an
        /// operation, for example to make a socket, stops its task, and no cancel helps; the others go on. What still
        /// hangs when the body returns, or when the power goes off, ends with it. If nothing else is left that could
        /// happen, the run ends with ``SimulationError/Reason/deadlock``, and the error names the call.
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
    /// all their forms. nil for every call.
    public var call: String?
    /// The beginning of the name of a file that the call is on, as it is in a story; nil for every file.
    public var path: String?
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
}
