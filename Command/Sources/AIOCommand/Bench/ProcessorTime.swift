import AIOCore
import CKernel

enum ProcessorTime {
    /// User and system time of this process, in nanoseconds.
    static func ofThisProcess() -> UInt64 {
        var usage = ck_rusage()
        guard Kernel.resourceUsage(CK_RUSAGE_SELF, &usage) >= 0 else { return 0 }
        let seconds = UInt64(usage.user.seconds + usage.system.seconds)
        return seconds * 1_000_000_000 + UInt64(usage.user.microseconds + usage.system.microseconds) * 1000
    }
}
