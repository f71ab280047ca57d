internal import CKernel
internal import Glibc

/// A signal by its number, signal(7).
public struct Signal: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: Int32

    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// SIGHUP: the terminal is gone; servers are asked by it to read their configuration again.
    public static var hangUp: Signal { Signal(rawValue: SIGHUP) }
    /// SIGINT: Ctrl-C.
    public static var interrupt: Signal { Signal(rawValue: SIGINT) }
    /// SIGQUIT: Ctrl-\.
    public static var quit: Signal { Signal(rawValue: SIGQUIT) }
    /// SIGKILL, which nobody receives.
    public static var kill: Signal { Signal(rawValue: SIGKILL) }
    public static var user1: Signal { Signal(rawValue: SIGUSR1) }
    public static var user2: Signal { Signal(rawValue: SIGUSR2) }
    public static var alarm: Signal { Signal(rawValue: SIGALRM) }
    /// SIGTERM: the request to end.
    public static var terminate: Signal { Signal(rawValue: SIGTERM) }
    /// SIGCHLD: something became of a child. `ChildProcess` waits for one without it.
    public static var child: Signal { Signal(rawValue: SIGCHLD) }
    public static var `continue`: Signal { Signal(rawValue: SIGCONT) }
    /// SIGSTOP, which nobody receives.
    public static var stop: Signal { Signal(rawValue: SIGSTOP) }
    /// SIGTSTP: Ctrl-Z.
    public static var terminalStop: Signal { Signal(rawValue: SIGTSTP) }
    /// SIGWINCH: the terminal has another size.
    public static var windowChange: Signal { Signal(rawValue: SIGWINCH) }

    /// "SIGTERM".
    public var description: String { Self.names[rawValue] ?? "signal \(rawValue)" }

    private static let names: [Int32: String] = [
        SIGHUP: "SIGHUP", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGILL: "SIGILL", SIGTRAP: "SIGTRAP",
        SIGABRT: "SIGABRT", SIGBUS: "SIGBUS", SIGFPE: "SIGFPE", SIGKILL: "SIGKILL", SIGUSR1: "SIGUSR1",
        SIGSEGV: "SIGSEGV", SIGUSR2: "SIGUSR2", SIGPIPE: "SIGPIPE", SIGALRM: "SIGALRM", SIGTERM: "SIGTERM",
        SIGCHLD: "SIGCHLD", SIGCONT: "SIGCONT", SIGSTOP: "SIGSTOP", SIGTSTP: "SIGTSTP", SIGTTIN: "SIGTTIN",
        SIGTTOU: "SIGTTOU", SIGURG: "SIGURG", SIGXCPU: "SIGXCPU", SIGXFSZ: "SIGXFSZ", SIGVTALRM: "SIGVTALRM",
        SIGPROF: "SIGPROF", SIGWINCH: "SIGWINCH", SIGIO: "SIGIO", SIGPWR: "SIGPWR", SIGSYS: "SIGSYS",
    ]

    /// Whether a handler can deal with it later: not what cannot be caught, and not what the instruction that caused it
    /// would cause again.
    var canBeReceivedLater: Bool {
        (1...CK_SIGNAL_MAX).contains(rawValue)
            && ![SIGKILL, SIGSTOP, SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS].contains(rawValue)
    }

    /// Its bit in a mask.
    var bit: UInt64 { 1 << UInt64(rawValue - 1) }
}

/// What `Signals` tells of one signal.
public struct ReceivedSignal: Sendable, Hashable {
    /// Who sent a signal, if a process did: not the terminal, and not the kernel.
    public struct Sender: Sendable, Hashable {
        /// 0 if it is in a namespace that this process does not see.
        public let process: Int32
        public let user: UInt32
    }

    public let signal: Signal
    /// How often it came since it was told last. Those that come faster than the process is given them are one, as the
    /// kernel has it.
    public let count: Int
    /// Of the last one. For `Signal.child`, the child.
    public let sender: Sender?
}
