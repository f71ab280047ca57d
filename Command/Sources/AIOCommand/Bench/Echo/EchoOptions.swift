import ArgumentParser

/// The load on the servers.
struct EchoLoadOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The size of a message in bytes.", valueName: "bytes"))
    var size = ByteCount(64)

    func check() throws {
        guard (1...(1 << 20)).contains(size.bytes) else { throw ValidationError("--size must be 1 byte to 1 MiB") }
    }
}

/// A comma-separated list of numbers on the command line: `1,64,1000`.
struct CountList: ExpressibleByArgument {
    var counts: [Int]

    init(_ counts: [Int]) { self.counts = counts }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        counts = parts.compactMap { Int($0) }
        guard counts.count == parts.count, !counts.isEmpty else { return nil }
    }

    var defaultValueDescription: String { counts.map(String.init).joined(separator: ",") }
}
