import AIO
import ArgumentParser
import Glibc

/// `aio du`: the disk space that folders use.
struct DiskUsageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "du",
        abstract: "Show what folders take on the disk, many read at a time.",
        usage: "aio du [-s] [-a] [-h] [-b] [-x] [-d DEPTH] [--apparent-size] [PATH...]",
        discussion: """
            A line for each folder, with all that is in it, in units of 1024 bytes, as du(1) has it; without a PATH, of \
            the working directory. Several names of one file count once. Symbolic links count themselves. What cannot \
            be read is said, a line each, and the exit status is then 1.
            """,
        helpNames: [.long])

    @Flag(name: [.customShort("s"), .long], help: "One line for each PATH alone.")
    var summarize = false

    @Flag(name: [.customShort("a"), .long], help: "A line for each file too.")
    var all = false

    @Flag(name: [.customShort("h"), .long], help: "Sizes such as 1.5M.")
    var humanReadable = false

    @Flag(name: [.customShort("b"), .long], help: "Apparent sizes in bytes.")
    var bytes = false

    @Flag(help: "The sizes that files and links say to have, in place of what they take.")
    var apparentSize = false

    @Flag(name: [.customShort("x"), .long], help: "Leave folders on other file systems out.")
    var oneFileSystem = false

    @Option(
        name: [.customShort("d", allowingJoined: true), .long],
        help: "Lines for folders this deep alone; what is deeper counts.")
    var maxDepth: Int?

    @Argument(help: ArgumentHelp("Files and folders.", valueName: "path"))
    var paths: [String] = []

    func validate() throws {
        if let maxDepth, maxDepth < 0 { throw ValidationError("--max-depth: \(maxDepth) is less than 0") }
        if summarize, all { throw ValidationError("-s and -a exclude each other") }
        if summarize, let maxDepth, maxDepth > 0 { throw ValidationError("-s and --max-depth exclude each other") }
    }

    func run() async throws {
        let roots = paths.isEmpty ? ["."] : RawArguments.paths(paths)
        let usage = DiskUsage(
            isApparent: apparentSize || bytes, staysOnFileSystem: oneFileSystem, showsFiles: all,
            depthMax: summarize ? 0 : maxDepth ?? .max, format: bytes ? .bytes : humanReadable ? .human : .kibibytes,
            // Only with several roots can a file with one link be found twice.
            remembersAll: roots.count > 1)
        let failures = try await interruptible { try await usage.report(roots) }
        if failures > 0 { throw ExitCode(1) }
    }
}

/// The format of sizes.
enum SizeFormat {
    case bytes, kibibytes, human

    /// Rounded up, as du(1) does.
    func text(_ bytes: Int64) -> String {
        switch self {
        case .bytes: return "\(bytes)"
        case .kibibytes: return "\(Self.roundedUp(bytes, 1024))"
        case .human: return Self.human(bytes)
        }
    }

    private static func human(_ bytes: Int64) -> String {
        var (unit, index) = (Int64(1), 0)
        let units = ["", "K", "M", "G", "T", "P", "E"]
        while index + 1 < units.count {
            let isBelow10 = bytes <= unit * 10 - unit / 10
            // A size that rounds up to 1024 is shown as 1 of the next unit.
            if isBelow10 ? bytes < unit * 1024 : roundedUp(bytes, unit) < 1024 { break }
            unit *= 1024
            index += 1
        }
        guard index > 0 else { return "\(bytes)" }
        let tenths = Int64((Double(bytes) / Double(unit) * 10).rounded(.up))
        guard tenths >= 100 else { return "\(tenths / 10).\(tenths % 10)\(units[index])" }
        return "\(roundedUp(bytes, unit))\(units[index])"
    }

    private static func roundedUp(_ bytes: Int64, _ unit: Int64) -> Int64 { bytes / unit + (bytes % unit > 0 ? 1 : 0) }
}
