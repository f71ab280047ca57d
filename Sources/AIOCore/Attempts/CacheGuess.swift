internal import Synchronization

/// A per-file estimate of whether the page cache is worth a system call: after consecutive misses, attempts are skipped
/// for a while.
///
/// Concurrent tasks may lose each other's updates. It is an estimate, so relaxed loads and stores suffice.
public struct CacheGuess: ~Copyable, Sendable {
    /// Consecutive misses; if negative, the number of attempts to skip.
    private let score = Atomic<Int32>(0)

    /// An approximate count of reads served without suspension.
    private let served = Atomic<UInt32>(0)

    /// A guess that favours attempts.
    public init() {}

    /// The misses after which attempts pause, and how many attempts are skipped then. So a file that always misses
    /// costs one useless call in 33, and one that has come into the cache is found out after 32 reads.
    private static var missesMax: Int32 { 4 }
    private static var pause: Int32 { 32 }

    /// Whether to attempt; false while attempts are skipped.
    @inline(__always)
    public borrowing func isWorthAsking() -> Bool {
        let score = score.load(ordering: .relaxed)
        guard score < 0 else { return true }
        // After a pause, a single miss starts the next pause.
        self.score.store(score == -1 ? Self.missesMax - 1 : score + 1, ordering: .relaxed)
        return false
    }

    /// Whether the last attempt was a hit.
    @inline(__always)
    public var isHitting: Bool { score.load(ordering: .relaxed) == 0 }

    /// True for one call in 128: the caller then checks whether it monopolizes a loop's thread.
    @inline(__always)
    public borrowing func isTurnUsedUp() -> Bool { countServed() & 127 == 0 }

    /// How much of a turn is used up.
    public enum Turn: Sendable {
        /// The turn has just begun, or goes on.
        case goesOn
        /// Long enough to let others go first who wait: one call in four.
        case mayEnd
        /// Long enough in any case: one call in 128.
        case ends
    }

    /// Counts a call. With 64 tasks that take turns of four reads, 0.1 % of the reads wait longer than some 0.6 ms.
    @inline(__always)
    public borrowing func turn() -> Turn {
        let count = countServed()
        guard count & 3 == 0 else { return .goesOn }
        return count & 127 == 0 ? .ends : .mayEnd
    }

    @inline(__always)
    private borrowing func countServed() -> UInt32 {
        let count = served.load(ordering: .relaxed) &+ 1
        served.store(count, ordering: .relaxed)
        return count
    }

    /// Records an attempt that was served.
    @inline(__always)
    public borrowing func noteHit() {
        if score.load(ordering: .relaxed) != 0 { score.store(0, ordering: .relaxed) }
    }

    /// Records an attempt that would have had to wait.
    public borrowing func noteMiss() {
        let misses = score.load(ordering: .relaxed) + 1
        score.store(misses >= Self.missesMax ? -Self.pause : misses, ordering: .relaxed)
    }

    /// Records the outcome of an attempt. A stream that was not ready predicts nothing.
    @inline(__always)
    public borrowing func note(_ answer: Answer, isStream: Bool) {
        switch answer {
        case .done(let result): if result >= 0 { noteHit() }
        case .wait: if !isStream { noteMiss() }
        case .refused: noteUnsupported()
        }
    }

    /// Skips attempts for a while, regardless of the results so far.
    borrowing func notePause() { score.store(-Self.pause, ordering: .relaxed) }

    /// The file system does not support non-blocking reads (EOPNOTSUPP), which does not change.
    public borrowing func noteUnsupported() { score.store(.min, ordering: .relaxed) }
}
