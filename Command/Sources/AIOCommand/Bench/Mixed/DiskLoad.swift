import AIOCore
import ArgumentParser

/// The cold reads that a server keeps in flight while it echoes, as the parent process describes them.
struct DiskLoad {
    /// Reads in flight.
    var depth: Int
    /// The file's size in bytes.
    var fileSize: Int
    /// The seed of the file's content.
    var seed: UInt64
    /// Selects the order of the blocks.
    var round: Int

    static let blockSize = 4096

    var arguments: [String] {
        ["--depth", "\(depth)", "--file-size", "\(fileSize)", "--seed", "\(seed)", "--round", "\(round)"]
    }
}

/// The same load in the server's process: descriptor 3 is the file, descriptor 4 the counter of reads.
struct DiskLoadOptions: ParsableArguments {
    @Option var depth = 0
    @Option var fileSize = 0
    @Option var seed: UInt64 = 0
    @Option var round = 0

    /// nil if the load has no reads.
    func reading() throws -> DiskReading? {
        guard depth > 0 else { return nil }
        let load = DiskLoad(depth: depth, fileSize: fileSize, seed: seed, round: round)
        let file = TestFile(
            name: "the test file", size: fileSize, descriptor: OpenDescriptor(owning: 3), isOurs: true, order: .random)
        return try DiskReading(load, file, SharedCounter(OpenDescriptor(owning: 4)))
    }
}
