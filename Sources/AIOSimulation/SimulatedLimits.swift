internal import AIO
internal import CKernel

/// What a host can run out of.
extension Simulation.Host {
    /// How many descriptors the host's process may have open, those of its runtimes included (RLIMIT_NOFILE). What
    /// opens another fails with EMFILE; what is open stays so. A child begins with the limit of its parent.
    public var descriptorLimit: Int {
        get { simulated.kernel.descriptors.limit }
        set { simulated.kernel.descriptors.limit = max(0, newValue) }
    }

    /// How many files all processes of the host may have open, those of their runtimes included (fs.file-max). What
    /// opens another fails with ENFILE.
    public var openFileLimit: Int {
        get { simulated.kernel.descriptors.files.limit }
        set { simulated.kernel.descriptors.files.limit = max(0, newValue) }
    }

    /// How many descriptors the host's process has open, those of its runtimes included.
    public var openDescriptorCount: Int { simulated.kernel.descriptors.count }
}

extension SimulatedFault {
    /// A call that may fail for want of memory does so (ENOMEM): the calls whose manual pages say it, as one sequence.
    public static func memoryExhausted(_ occurrence: Occurrence) -> SimulatedFault {
        SimulatedFault(.error(Errno(rawValue: ENOMEM)), occurrence, of: "memory")
    }

    /// A call that would make a descriptor finds none free in its process (EMFILE), or `inHost` none in the whole host
    /// (ENFILE): all these calls, as one sequence. For a limit, set `Simulation.Host.descriptorLimit`.
    public static func descriptorsExhausted(_ occurrence: Occurrence, inHost: Bool = false) -> SimulatedFault {
        SimulatedFault(.error(Errno(rawValue: inHost ? ENFILE : EMFILE)), occurrence, of: "descriptors")
    }
}
