internal import Synchronization

/// Whether asking the page cache first is worth it for a file: one that keeps missing is not asked for a while.
///
/// Other tasks may change the guess in between; it is a guess, so relaxed loads and stores are enough.
public struct CacheGuess: ~Copyable, Sendable {
    /// Misses in a row, or if negative the attempts still to be left out.
    private let score = Atomic<Int32>(0)

    /// Reads served without suspending, roughly.
    private let served = Atomic<UInt32>(0)

    public init() {}

    private static var missesMax: Int32 { 4 }
    private static var pause: Int32 { 32 }

    @inline(__always)
    public borrowing func isWorthAsking() -> Bool {
        let score = score.load(ordering: .relaxed)
        guard score < 0 else { return true }
        // The next miss after a pause is enough for another pause.
        self.score.store(score == -1 ? Self.missesMax - 1 : score + 1, ordering: .relaxed)
        return false
    }

    /// Whether the last attempt found the data there.
    @inline(__always)
    public var isHitting: Bool { score.load(ordering: .relaxed) == 0 }

    /// True now and then: time to look whether the caller keeps a loop's thread to itself.
    @inline(__always)
    public borrowing func isTurnUsedUp() -> Bool {
        let count = served.load(ordering: .relaxed) &+ 1
        served.store(count, ordering: .relaxed)
        return count & 127 == 0
    }

    @inline(__always)
    public borrowing func noteHit() {
        if score.load(ordering: .relaxed) != 0 { score.store(0, ordering: .relaxed) }
    }

    public borrowing func noteMiss() {
        let misses = score.load(ordering: .relaxed) + 1
        score.store(misses >= Self.missesMax ? -Self.pause : misses, ordering: .relaxed)
    }

    /// The file system cannot tell (EOPNOTSUPP), and will not learn it soon.
    public borrowing func noteUnsupported() { score.store(.min, ordering: .relaxed) }
}
