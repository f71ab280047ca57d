import AIO
import ArgumentParser
import Glibc

/// `aio du`: the disk space that folders use.
struct DiskUsageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "du",
        abstract: "Show the disk usage of directories, many read at a time.",
        usage: "aio du [-s] [-a] [-h] [-b] [-x] [-d DEPTH] [--apparent-size] [PATH...]",
        discussion: """
            Prints one line for each directory, with the total of everything in it, in units of 1024 bytes, as du(1) \
            does. Without a PATH, it shows the working directory. A file with several hard links counts once. Symbolic \
            links are not followed. What cannot be read is reported on standard error, one line each, and the exit \
            status is then 1.
            """,
        helpNames: [.long])

    @Flag(name: [.customShort("s"), .long], help: "Print only one line for each PATH.")
    var summarize = false

    @Flag(name: [.customShort("a"), .long], help: "Print a line for each file, too.")
    var all = false

    @Flag(name: [.customShort("h"), .long], help: "Print sizes such as 1.5M.")
    var humanReadable = false

    @Flag(name: [.customShort("b"), .long], help: "Print apparent sizes in bytes.")
    var bytes = false

    @Flag(help: "Print apparent sizes, which are the lengths of files and links, instead of disk usage.")
    var apparentSize = false

    @Flag(name: [.customShort("x"), .long], help: "Skip directories on other file systems.")
    var oneFileSystem = false

    @Option(
        name: [.customShort("d", allowingJoined: true), .long],
        help: "Print lines only down to this depth; deeper entries are counted.")
    var maxDepth: Int?

    @Argument(help: ArgumentHelp("Files and directories.", valueName: "path"))
    var paths: [String] = []

    func validate() throws {
        if let maxDepth, maxDepth < 0 { throw ValidationError("--max-depth must be 0 or more") }
        if summarize, all { throw ValidationError("-s and -a cannot be combined") }
        if summarize, let maxDepth, maxDepth > 0 { throw ValidationError("-s and --max-depth cannot be combined") }
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
