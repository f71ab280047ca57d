import ArgumentParser
import Glibc

#if DEBUG
    import FaultInjection
#endif

/// The command `aio`.
@main
struct Aio: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "aio",
        abstract: "Probe, measure and use asynchronous I/O on this machine.",
        discussion: "Exit status: 0 success, 1 failure, 2 usage error, 130 interrupted.",
        // No release exists yet, so there is no version number.
        version: "aio (swift-aio) unreleased",
        subcommands: [
            BenchCommand.self, ProbeCommand.self, RunCommand.self, CopyCommand.self, DiskUsageCommand.self,
            HashCommand.self, ServeCommand.self,
        ])

    static func main() async {
        #if DEBUG
            if let mistake = Faults.install(getenv("AIO_FAULTS")) {
                Console.complain(mistake)
                Glibc.exit(2)
            }
        #endif
        do {
            // Not `asyncParseAsRoot`, which switches threads: `run` needs the thread that the process started with.
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

    /// Writes one line about the error. Returns the exit status.
    private static func report(_ error: any Error) -> Int32 {
        switch error {
        case let failure as Failure:
            Console.complain(failure.message)
            return 1
        case let refusal as NotStarted:
            Console.complain(refusal.message)
            return refusal.status
        case let interrupted as Interrupted:
            Console.complain("interrupted; \(interrupted.remains)")
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
            // The user asked for the help or the version, so this is output and no error.
            do throws(Failure) { try Console.write(fullMessage(for: error) + "\n") } catch {
                Console.complain(error.message)
                return 1
            }
            return 0
        }
        let isUsage = status == .validationFailure
        let message = message(for: error).split(separator: "\n").joined(separator: " ")
        let asked = (["aio"] + subcommands(CommandLine.arguments.dropFirst())).joined(separator: " ")
        Console.complain(isUsage ? "\(message) (see \(asked) --help)" : message)
        return isUsage ? 2 : 1
    }

    /// The subcommand that the arguments name; after `bench`, also the bench.
    private static func subcommands(_ arguments: ArraySlice<String>) -> [String] {
        let names = configuration.subcommands.compactMap { $0.configuration.commandName }
        guard let first = arguments.first, names.contains(first) else { return [] }
        guard first == "bench" else { return [first] }
        let benches = BenchCommand.configuration.subcommands.compactMap { $0.configuration.commandName }
        let second = arguments.dropFirst().first.flatMap { benches.contains($0) ? $0 : nil }
        // Without a name, the option belongs to the default bench.
        return [first, second ?? "files"]
    }
}
