/// The report in the JSON file. Times are in nanoseconds, sizes in bytes.
struct Report: Codable {
    struct Machine: Codable {
        var kernel: String
        var architecture: String
        var processor: String
        var processorCount: Int
        /// The share of the processors' time, 0 to 1, that other programs used just before the measurement.
        var loadByOthers: Double?
        /// The share of the processors' time that a hypervisor gave to other machines during the measurement.
        var stolen: Double?
    }

    struct File: Codable {
        var name: String
        var size: Int
        var fileSystem: String
        /// The loop device, with --memory-device.
        var device: String?
    }

    struct Load: Codable {
        var blockSize: Int
        var depth: Int
        var tasks: Int
        var order: String
        var writePercent: Int
        var direct: Bool
        var turnNs: UInt64
        var rounds: Int
    }

    struct Times: Codable {
        var count: UInt64
        var mean: Double
        var p50, p90, p99, p999: UInt64
        var worst: UInt64
    }

    struct Line: Codable {
        var contestant: String
        var operations: Int
        /// The median of `operationsPerSecondByRound`.
        var operationsPerSecond: Double
        var operationsPerSecondByRound: [Double]
        var ratioToPread: Double?
        var latency: Times
        var submittingCall: Times
        var processorNsPerOperation: Double
    }

    struct Section: Codable {
        var cache: String
        var lines: [Line]
    }

    var machine: Machine
    var file: File
    var load: Load
    var sections: [Section]
    var notes: [String]
}
