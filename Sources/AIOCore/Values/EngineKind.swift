/// The ways of carrying operations out.
public enum EngineKind: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    /// A ring of io_uring(7), which carries almost everything out itself.
    case ioUring
    /// Worker threads for what blocks, and one epoll for what waits. It needs nothing that a sandbox might refuse.
    case threads
    /// `threads`, with Linux AIO (io_submit(2)) for direct transfers.
    case linuxAIO
    /// `threads`, with readahead(2) and RWF_NOWAIT for buffered reads.
    case readahead

    /// The spelling on the command line, in logs and in tests.
    public var name: StaticString {
        switch self {
        case .ioUring: "io_uring"
        case .threads: "threads"
        case .linuxAIO: "linux-aio"
        case .readahead: "readahead"
        }
    }
}
