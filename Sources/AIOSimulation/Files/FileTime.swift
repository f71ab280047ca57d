internal import AIOCore
internal import CKernel

/// A time of a file, to the nanosecond, within what ext4 holds: from December 1901 to May 2446.
struct FileTime: Comparable {
    private static let secondsMin: Int64 = -0x8000_0000
    private static let secondsMax: Int64 = 15_032_385_535
    /// Since `secondsMin`; seconds since 1970 would be negative before, and too many for an `Int64` after 2262.
    private let nanoseconds: Nanoseconds

    /// Seconds since 1970 that ext4 does not hold become the nearest that it does.
    init(seconds: Int64, nanoseconds: Int64 = 0) {
        let seconds = min(max(Self.secondsMin, seconds), Self.secondsMax) - Self.secondsMin
        self.nanoseconds = Nanoseconds(seconds) * 1_000_000_000 + Nanoseconds(nanoseconds)
    }

    /// A time of the wall clock.
    init(wallClock time: Nanoseconds) {
        self.init(seconds: Int64(time / 1_000_000_000), nanoseconds: Int64(time % 1_000_000_000))
    }

    static func < (a: FileTime, b: FileTime) -> Bool { a.nanoseconds < b.nanoseconds }

    /// The time from `earlier` on; 0 if it is later.
    func since(_ earlier: FileTime) -> Nanoseconds {
        self > earlier ? nanoseconds - earlier.nanoseconds : 0
    }

    var timestamp: ck_statx_timestamp {
        ck_statx_timestamp(
            seconds: Int64(nanoseconds / 1_000_000_000) + Self.secondsMin,
            nanoseconds: UInt32(nanoseconds % 1_000_000_000), reserved: 0)
    }
}
