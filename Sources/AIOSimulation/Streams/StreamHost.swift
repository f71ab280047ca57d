/// What the processes of a host share beside its files: names of sockets, and threads that sleep on a word.
final class StreamHost {
    private var inodeCount: UInt64 = 1 << 32
    /// Sockets bound to abstract names.
    var abstractNames: [[UInt8]: UnixSocket] = [:]
    var abstractNameCount = 0
    var futexes = FutexTable()
    var pendingOpenings: [FIFOOpening] = []

    func newInode() -> UInt64 {
        inodeCount += 1
        return inodeCount
    }
}
