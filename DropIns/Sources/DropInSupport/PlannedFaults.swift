#if TAKES_FAULTS
    internal import AIOCore
    internal import CDropIns
    internal import FaultInjection

    /// Installs the faults that AIO_FAULTS asks for, and the log of calls that AIO_FAULTS_LOG asks for. A program whose
    /// faults have a mistake does not run: it would show nothing.
    func installFaults() {
        let (faults, log): (StaticString, StaticString) = ("AIO_FAULTS", "AIO_FAULTS_LOG")
        let mistake = Faults.install(
            drop_in_trusted_environment(faults.cString), log: drop_in_trusted_environment(log.cString))
        guard let mistake else { return }
        for byte in mistake.utf8 { withUnsafePointer(to: byte) { _ = Kernel.write(2, $0, 1) } }
        report("\n")
        _exit(2)
    }
#endif
