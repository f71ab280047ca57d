import ArgumentParser
import Glibc

/// The command `aio`.
@main
struct Aio: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "aio",
        abstract: "Shows what asynchronous I/O this machine can do, measures it, and gives it to other programs.",
        discussion: "Exit status: 0 success, 1 failure, 2 wrong usage, 130 interrupted.",
        subcommands: [
            BenchCommand.self, ProbeCommand.self, RunCommand.self, CopyCommand.self, DiskUsageCommand.self,
            HashCommand.self, ServeCommand.self,
        ])

    static func main() async {
        do {
            // Not `asyncParseAsRoot`, which changes threads: `run` wants the one that the process began with.
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            Glibc.exit(report(error))
        }
    }

    /// Says in one line what went wrong. Returns the exit status.
    private static func report(_ error: any Error) -> Int32 {
        switch error {
        case let failure as Failure:
            Console.complain(failure.message)
            return 1
        case let refusal as NotStarted:
            Console.complain(refusal.message)
            return refusal.status
        case let interrupted as Interrupted:
            Console.complain("interrupted; nothing is left behind")
            return 128 + interrupted.signal
        case let status as ExitCode:
            return status.rawValue
        default:
            return reportUsage(error)
        }
    }

    private static func reportUsage(_ error: any Error) -> Int32 {
        let status = exitCode(for: error)
        if status == .success {
            // A request for help or the version: what was asked for, not a complaint.
            try? Console.write(fullMessage(for: error) + "\n")
            return 0
        }
        let isUsage = status == .validationFailure
        let message = message(for: error).split(separator: "\n").joined(separator: " ")
        let subcommand = CommandLine.arguments.dropFirst().first.flatMap {
            ["bench", "run", "copy", "du", "hash", "serve"].contains($0) ? $0 : nil
        }
        let asked = subcommand.map { "aio \($0)" } ?? "aio"
        Console.complain(isUsage ? "\(message) (see \(asked) --help)" : message)
        return isUsage ? 2 : 1
    }
}
