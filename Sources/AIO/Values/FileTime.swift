internal import CKernel

/// A new value for a file's timestamp.
public enum FileTime: Sendable, Hashable {
    /// The time of the call, by the clock of the kernel.
    case now
    /// Leaves the timestamp as it is.
    case unchanged
    /// Time since 1970-01-01T00:00:00Z, truncated to the resolution of the file system.
    case at(Duration)

    var timespec: ck_timespec {
        switch self {
        case .now:
            return ck_timespec(seconds: 0, nanoseconds: CK_UTIME_NOW)
        case .unchanged:
            return ck_timespec(seconds: 0, nanoseconds: CK_UTIME_OMIT)
        case .at(let duration):
            // The nanoseconds of a timespec are non-negative, also before 1970. 128 bits hold every duration.
            let nanoseconds = duration.attoseconds / 1_000_000_000
            var (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
            if rest < 0 { (seconds, rest) = (seconds - 1, rest + 1_000_000_000) }
            return ck_timespec(seconds: Int64(clamping: seconds), nanoseconds: Int64(rest))
        }
    }
}

/// The two timestamps for utimensat(2), at an address that stays fixed. The caller deallocates it.
func copyTimes(access: FileTime, modification: FileTime) -> UnsafeMutablePointer<(ck_timespec, ck_timespec)> {
    let memory = UnsafeMutablePointer<(ck_timespec, ck_timespec)>.allocate(capacity: 1)
    memory.initialize(to: (access.timespec, modification.timespec))
    return memory
}
