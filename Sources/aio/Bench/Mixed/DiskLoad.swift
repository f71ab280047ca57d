import AIOCore
import ArgumentParser

/// Cold reads that a server is to keep in flight while it echoes: what it is started with.
struct DiskLoad {
    /// Reads in flight.
    var depth: Int
    /// Bytes of the file.
    var fileSize: Int
    /// Of the file's content.
    var seed: UInt64
    /// Chooses the order.
    var round: Int

    static let blockSize = 4096

    var arguments: [String] {
        ["--depth", "\(depth)", "--file-size", "\(fileSize)", "--seed", "\(seed)", "--round", "\(round)"]
    }
}

/// The same, in the server's process: its file is descriptor 3, its counter of reads descriptor 4.
struct DiskLoadOptions: ParsableArguments {
    @Option var depth = 0
    @Option var fileSize = 0
    @Option var seed: UInt64 = 0
    @Option var round = 0

    /// nil without reads.
    func reading() throws -> DiskReading? {
        guard depth > 0 else { return nil }
        let load = DiskLoad(depth: depth, fileSize: fileSize, seed: seed, round: round)
        let file = TestFile(
            name: "the test file", size: fileSize, descriptor: OpenDescriptor(owning: 3), isOurs: true, order: .random)
        return try DiskReading(load, file, SharedCounter(OpenDescriptor(owning: 4)))
    }
}
