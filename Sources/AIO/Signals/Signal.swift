internal import CKernel

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// A signal number, signal(7).
public struct Signal: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The number of signal(7).
    public let rawValue: Int32

    /// From a number of signal(7), also of a realtime signal.
    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// SIGHUP: the terminal was closed. By convention, servers reload their configuration.
    public static var hangUp: Signal { Signal(rawValue: SIGHUP) }
    /// SIGINT: Ctrl-C.
    public static var interrupt: Signal { Signal(rawValue: SIGINT) }
    /// SIGQUIT: Ctrl-\.
    public static var quit: Signal { Signal(rawValue: SIGQUIT) }
    /// SIGKILL, which cannot be received.
    public static var kill: Signal { Signal(rawValue: SIGKILL) }
    /// SIGUSR1: for the program's own use.
    public static var user1: Signal { Signal(rawValue: SIGUSR1) }
    /// SIGUSR2: for the program's own use.
    public static var user2: Signal { Signal(rawValue: SIGUSR2) }
    /// SIGALRM: a timer of alarm(2) or setitimer(2) has expired.
    public static var alarm: Signal { Signal(rawValue: SIGALRM) }
    /// SIGTERM: the request to terminate.
    public static var terminate: Signal { Signal(rawValue: SIGTERM) }
    /// SIGCHLD: a child has changed its state. ``ChildProcess`` does not need it.
    public static var child: Signal { Signal(rawValue: SIGCHLD) }
    /// SIGCONT: the process continues after a stop.
    public static var `continue`: Signal { Signal(rawValue: SIGCONT) }
    /// SIGSTOP, which cannot be received.
    public static var stop: Signal { Signal(rawValue: SIGSTOP) }
    /// SIGTSTP: Ctrl-Z.
    public static var terminalStop: Signal { Signal(rawValue: SIGTSTP) }
    /// SIGWINCH: the terminal's size has changed.
    public static var windowChange: Signal { Signal(rawValue: SIGWINCH) }

    /// For example "SIGTERM".
    public var description: String { Self.names[rawValue] ?? "signal \(rawValue)" }

    private static let names: [Int32: String] = [
        SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
        SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL", SIGUSR1: "SIGUSR1",
        SIGSEGV: "SIGSEGV", SIGUSR2: "SIGUSR2", SIGPIPE: "SIGPIPE", SIGALRM: "SIGALRM", SIGTERM: "SIGTERM",
        SIGCHLD: "SIGCHLD", SIGCONT: "SIGCONT", SIGSTOP: "SIGSTOP", SIGTSTP: "SIGTSTP", SIGTTIN: "SIGTTIN",
        SIGTTOU: "SIGTTOU", SIGURG: "SIGURG", SIGXCPU: "SIGXCPU", SIGXFSZ: "SIGXFSZ", SIGVTALRM: "SIGVTALRM",
        SIGPROF: "SIGPROF", SIGWINCH: "SIGWINCH", SIGIO: "SIGIO", SIGPWR: "SIGPWR", SIGSYS: "SIGSYS",
    ]

    /// Whether the signal can be handled later. Excludes signals that cannot be caught, and faults, which the same
    /// instruction would raise again.
    var canBeReceivedLater: Bool {
        (1...CK_SIGNAL_MAX).contains(rawValue)
            && ![SIGKILL, SIGSTOP, SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS].contains(rawValue)
    }

    /// The bit of the signal in a mask.
    var bit: UInt64 { 1 << UInt64(rawValue - 1) }
}

/// A signal that ``Signals`` received.
public struct ReceivedSignal: Sendable, Hashable {
    /// The process that sent a signal. Signals from the terminal or the kernel have no sender.
    public struct Sender: Sendable, Hashable {
        /// The process ID; 0 if it is in a namespace that this process does not see.
        public let process: Int32
        /// The sender's real user ID.
        public let user: UInt32
    }

    /// The signal that arrived.
    public let signal: Signal
    /// How often the signal arrived since it was last returned. The kernel merges standard signals that arrive before
    /// the first is delivered.
    public let count: Int
    /// The sender of the last signal; for ``Signal/child``, the child.
    public let sender: Sender?
}
