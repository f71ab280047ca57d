/// What one host has beside its descriptors: names of sockets, children, and threads that sleep on a word.
final class StreamHost {
    private var inodeCount: UInt64 = 1 << 32
    /// Sockets bound to abstract names.
    var abstractNames: [[UInt8]: UnixSocket] = [:]
    var abstractNameCount = 0
    /// Where names of sockets in the file system are kept; nil before the file part has set it.
    var socketFiles: (any SocketFiles)?
    var children = ChildTable()
    var futexes = FutexTable()
    var pendingOpenings: [FIFOOpening] = []

    func newInode() -> UInt64 {
        inodeCount += 1
        return inodeCount
    }
}

/// Sockets in the file system, as the file part keeps them. Results are 0 or a negative errno.
protocol SocketFiles: AnyObject {
    /// Creates a socket file: EADDRINUSE if the name exists.
    func bind(_ path: [UInt8], to socket: AnyObject) -> Int
    /// The socket that was bound to a name: ENOENT, ENOTDIR, EACCES, ...; ECONNREFUSED for any other file, and for a
    /// socket that has been closed.
    func lookUp(_ path: [UInt8]) -> (result: Int, socket: AnyObject?)
}
