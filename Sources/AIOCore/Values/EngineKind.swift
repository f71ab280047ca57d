/// The available engines. `name` is the spelling on the command line, in logs and in tests.
public enum EngineKind: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    case ioUring
    case threads
    case linuxAIO
    case readahead

    public var name: StaticString {
        switch self {
        case .ioUring: "io_uring"
        case .threads: "threads"
        case .linuxAIO: "linux-aio"
        case .readahead: "readahead"
        }
    }
}
