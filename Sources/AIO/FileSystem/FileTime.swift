internal import CKernel

/// What a file's time is set to.
public enum FileTime: Sendable, Hashable {
    case now
    /// As it is.
    case unchanged
    /// Since 1970-01-01T00:00:00Z, cut to what the file system can keep.
    case at(Duration)

    var timespec: ck_timespec {
        switch self {
        case .now:
            return ck_timespec(seconds: 0, nanoseconds: CK_UTIME_NOW)
        case .unchanged:
            return ck_timespec(seconds: 0, nanoseconds: CK_UTIME_OMIT)
        case .at(let duration):
            // Nanoseconds count forward, also before 1970. In 128 bits, in which no duration is too long.
            let nanoseconds = duration.attoseconds / 1_000_000_000
            var (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
            if rest < 0 { (seconds, rest) = (seconds - 1, rest + 1_000_000_000) }
            return ck_timespec(seconds: Int64(clamping: seconds), nanoseconds: Int64(rest))
        }
    }
}

/// The two times that utimensat(2) sets, as memory that stays where it is. The caller deallocates it.
func copyTimes(access: FileTime, modification: FileTime) -> UnsafeMutablePointer<(ck_timespec, ck_timespec)> {
    let memory = UnsafeMutablePointer<(ck_timespec, ck_timespec)>.allocate(capacity: 1)
    memory.initialize(to: (access.timespec, modification.timespec))
    return memory
}
