import AIOCore

/// What to measure: the validated options.
struct Plan: Sendable {
    enum Source: Sendable {
        case temporary(directory: String, size: Int)
        case own(path: String)
        case memoryDevice(size: Int)
    }

    /// The interfaces outside this library.
    enum Peer: String, CaseIterable, Sendable {
        case pread
        case posixAIO = "posix-aio"
        case linuxAIO = "linux-aio"
        case linuxAIODirect = "linux-aio-direct"
    }

    var source: Source
    /// Bytes.
    var blockSize: Int
    /// Operations in flight.
    var depth: Int
    /// Tasks, each of which awaits one operation at a time.
    var taskCount: Int
    var order: WorkloadShape.Order
    /// Percentage of operations that write.
    var writePercent: Int
    var isDirect: Bool
    /// Nanoseconds of one contestant's turn.
    var turnLength: Nanoseconds
    var roundCount: Int
    var peers: [Peer]
    /// The engines that the user named; nil for all.
    var engines: [EngineKind]?
    var jsonPath: String?
}
