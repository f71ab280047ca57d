/// Which words and locks the threads of a scenario share. An access to another one is no point: it commutes with
/// everything.
///
/// It begins with none, and learns. An exploration that finds another shared word starts again, and so its last attempt
/// has treated every word as it had to.
final class Sharing {
    private struct Use {
        var threads: UInt64 = 0
        var isWritten = false
    }

    private var uses: [UInt64: Use] = [:]
    private var shared: Set<UInt64> = []
    private(set) var hasGrown = false

    func restart() { hasGrown = false }

    /// Notes an access, and returns whether it is a point. `key` names a word or lock in all executions.
    func isShared(_ key: UInt64, by thread: Int, writes: Bool) -> Bool {
        if shared.contains(key) { return true }
        var use = uses[key] ?? Use()
        use.threads |= 1 << UInt64(thread)
        if writes { use.isWritten = true }
        uses[key] = use
        // A word that nobody writes, or that a single thread uses.
        guard use.isWritten, use.threads & (use.threads - 1) != 0 else { return false }
        shared.insert(key)
        hasGrown = true
        return true
    }
}
