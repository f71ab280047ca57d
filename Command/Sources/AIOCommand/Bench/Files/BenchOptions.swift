import AIOCore
import ArgumentParser

/// The file to measure.
struct FileOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Read this file instead of a temporary one. It is never written to, and read once beforehand "
                + "for a checksum of each block.", valueName: "file"))
    var file: String?

    @Option(help: ArgumentHelp("The size of the temporary file in bytes (default: 1 GiB).", valueName: "bytes"))
    var size: ByteCount?

    @Option(
        help: ArgumentHelp(
            "The directory of the temporary file (default: the working directory).", valueName: "directory"))
    var directory: String?

    @Flag(help: "Measure on ext4 on a loop device over memory, without a disk's variance. Needs root.")
    var memoryDevice = false

    var source: Plan.Source {
        let bytes = size?.bytes ?? 1 << 30
        if let file { return .own(path: file) }
        return memoryDevice ? .memoryDevice(size: bytes) : .temporary(directory: directory ?? ".", size: bytes)
    }

    func check(_ load: LoadOptions) throws {
        if file != nil {
            if size != nil {
                throw ValidationError("--size is for the temporary file and cannot be combined with --file")
            }
            if directory != nil {
                throw ValidationError("--directory is for the temporary file and cannot be combined with --file")
            }
            if memoryDevice { throw ValidationError("--memory-device cannot be combined with --file") }
            if load.write > 0 {
                throw ValidationError("--file is never written to and cannot be combined with --write")
            }
        }
        if memoryDevice, directory != nil {
            throw ValidationError("--memory-device cannot be combined with --directory")
        }
        if let size {
            guard size.bytes >= load.block.bytes else { throw ValidationError("--size must be at least one --block") }
            guard size.bytes % Pattern.pageSize == 0 else {
                throw ValidationError("--size must be a multiple of 4096 bytes")
            }
        }
    }
}

/// The load on the file.
struct LoadOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Bytes per operation, a multiple of 512.", valueName: "bytes"))
    var block = ByteCount(4096)

    @Option(help: ArgumentHelp("The queue depth: operations in flight.", valueName: "count"))
    var depth = 64

    @Option(
        help: ArgumentHelp(
            "Tasks that await, each one operation at a time (default: the queue depth).", valueName: "count"))
    var tasks: Int?

    @Option(
        help: ArgumentHelp(
            "The percentage of operations that write. Later reads check what they wrote.", valueName: "percent"))
    var write = 0

    @Flag(help: "Access the file in its order instead of a random order.")
    var sequential = false

    @Flag(help: "Use O_DIRECT for all contestants; nothing is measured cached.")
    var direct = false

    @Option(help: ArgumentHelp("The length of one turn: seconds, or a number with a unit (500ms).", valueName: "time"))
    var duration = TimeSpan(milliseconds: 500)

    @Option(help: ArgumentHelp("Turns per contestant.", valueName: "count"))
    var rounds = 5

    func check() throws {
        func need(_ holds: Bool, _ message: String) throws { if !holds { throw ValidationError(message) } }
        try need(block.bytes >= 512 && block.bytes % 512 == 0, "--block must be a multiple of 512 bytes")
        try need(block.bytes <= 64 << 20, "--block must be at most 64 MiB")
        try need((1...8192).contains(depth), "--depth must be 1 to 8192")
        try need((1...65536).contains(tasks ?? 1), "--tasks must be 1 to 65536")
        let inFlight = max(depth, tasks ?? 1)
        try need(inFlight * block.bytes <= 1 << 30, "--block times --depth or --tasks must be at most 1 GiB")
        try need((0...100).contains(write), "--write must be 0 to 100")
        try need(
            (1_000_000...3_600_000_000_000).contains(duration.nanoseconds), "--duration must be 1 ms to 1 hour")
        try need((1...1000).contains(rounds), "--rounds must be 1 to 1000")
    }
}

/// The contestants.
struct ContestantOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Engines, separated by commas: io_uring, threads, linux-aio, readahead, or none (default: all).",
            valueName: "names"))
    var engines: String?

    @Option(
        help: ArgumentHelp(
            "Other interfaces, separated by commas: pread, posix-aio, linux-aio, linux-aio-direct, or none "
                + "(default: all).",
            valueName: "names"))
    var peers: String?

    func check() throws {
        guard try parsedPeers().isEmpty, let engines = try parsedEngines(), engines.isEmpty else { return }
        throw ValidationError("--peers none and --engines none leave nothing to measure")
    }

    func parsedPeers() throws -> [Plan.Peer] {
        try NameList.parse(peers, "--peers", Plan.Peer.allCases.map { ($0.rawValue, $0) })
            ?? Plan.Peer.allCases
    }

    /// nil for all engines.
    func parsedEngines() throws -> [EngineKind]? { try NameList.parseEngines(engines) }
}
