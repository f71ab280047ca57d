import AIOCore

/// What is to be measured: the options, checked.
struct Plan: Sendable {
    enum Source: Sendable {
        case temporary(directory: String, size: Int)
        case own(path: String)
        case memoryDevice(size: Int)
    }

    /// The interfaces that are not this library's.
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
    /// Tasks that await, one operation each at a time.
    var taskCount: Int
    var order: WorkloadShape.Order
    /// Of 100 operations.
    var writePercent: Int
    var isDirect: Bool
    /// Nanoseconds of one contestant in one round.
    var turnLength: Nanoseconds
    var roundCount: Int
    var peers: [Peer]
    /// The engines asked for by name; nil for all there are.
    var engines: [EngineKind]?
    var jsonPath: String?
}
