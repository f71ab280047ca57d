import AIOCore
import CKernel

/// RLIMIT_NOFILE, which the servers inherit.
enum OpenFileLimit {
    /// Descriptors other than the connections'.
    private static let others = 128

    /// Raises the soft limit of this process and of the processes that it starts.
    static func raise(forConnections connections: Int) throws(Failure) {
        let needed = UInt64(connections + others)
        var limit = ck_rlimit()
        let result = Kernel.limit(CK_RLIMIT_NOFILE, &limit)
        guard result >= 0 else { throw Failure("RLIMIT_NOFILE", result: result) }
        guard limit.soft < needed else { return }
        // Raises the hard limit too if it is too low, which needs CAP_SYS_RESOURCE.
        if Kernel.setLimit(CK_RLIMIT_NOFILE, ck_rlimit(soft: needed, hard: max(limit.hard, needed))) < 0 {
            throw Failure(
                "\(connections) connections need \(needed) open files, but RLIMIT_NOFILE allows \(limit.hard): "
                    + "raise it (ulimit -Hn) or lower --connections")
        }
    }
}
