import AIO
import AIOCore
import ArgumentParser
import Glibc

/// `aio run`: starts a program with the drop-in libraries.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a program with this project's Linux AIO and POSIX AIO.",
        usage: "aio run [--engine <engine>] [--stats] [--stats-file <file>] [--require] [--] PROGRAM [ARG...]",
        discussion: """
            PROGRAM is searched for in PATH and replaces this process, with the two drop-in libraries loaded before \
            all others (LD_PRELOAD). Terminal, signals and exit status are its own. Programs that it starts get the \
            libraries, too.

            If PROGRAM cannot be reached (it is statically linked, setuid, or built for another architecture), or does \
            not seem to use either interface, a line on standard error says so, and it is started anyway. With \
            --require, a program that cannot be reached is not started.

            The libraries are those that Scripts/build-dropins has built, or those in lib/swift-aio next to the bin \
            directory of this executable; AIO_DROPINS names another directory. Exit status if PROGRAM was not started: \
            127 not found, 126 cannot be executed, 1 failure, 2 usage error.
            """)

    @Option(help: ArgumentHelp("The engine: \(RunCommand.engineNames) (default: auto).", valueName: "engine"))
    var engine: String?

    @Flag(help: "Write a summary of what the libraries did to standard error when a process exits.")
    var stats = false

    @Option(
        help: ArgumentHelp("Append the summary to FILE; %p in the name stands for the process ID.", valueName: "file"))
    var statsFile: String?

    @Flag(help: "Do not start a program that cannot be reached.")
    var require = false

    @Argument(parsing: .captureForPassthrough, help: "The program and its arguments.")
    var program: [String] = []

    private static let engineNames = (["auto"] + EngineKind.allCases.map { "\($0)" }).joined(separator: ", ")

    /// Whether `--` precedes the program's name, which may then begin with a dash.
    private var hasTerminator: Bool { program.first == "--" }
    private var command: ArraySlice<String> { program.dropFirst(hasTerminator ? 1 : 0) }

    func validate() throws {
        guard let name = command.first, !name.isEmpty else { throw ValidationError("no PROGRAM is given") }
        // With `captureForPassthrough` the parser passes unknown options to the program, and `--help` is one of them.
        if !hasTerminator, ["-h", "--help"].contains(name) { throw CleanExit.helpRequest(self) }
        guard hasTerminator || !name.hasPrefix("-") else { throw ValidationError("unknown option '\(name)'") }
        if let engine, engine != "auto", kind(engine) == nil {
            throw ValidationError("unknown engine '\(engine)'; the engines are \(Self.engineNames)")
        }
        if let statsFile, statsFile.isEmpty { throw ValidationError("--stats-file: the file name is empty") }
    }

    private func kind(_ name: String) -> EngineKind? { EngineKind.allCases.first { "\($0)" == name } }

    func run() throws {
        let file = try ProgramFile.find(command.first ?? "")
        try checkEngine()
        let libraries = try DropInLibraries.find()
        let reach = Reach(of: file.path)
        try tell(reach, file)
        try setEnvironment(libraries, reach)
        throw start(file)
    }

    /// Checks that the engine is available, so that the failure is reported here and not inside the program.
    private func checkEngine() throws {
        guard let engine, let kind = kind(engine), let failure = KernelFeatures.probe().failure(of: kind) else {
            return
        }
        throw Failure("engine \(engine): \(IOError(failure))")
    }

    private func tell(_ reach: Reach, _ file: ProgramFile) throws {
        guard let remark = reach.remark else { return }
        if require, reach.isExcluded { throw NotStarted(message: "\(file.path.quoted) \(remark)", status: 1) }
        Console.complain("\(file.path.quoted) \(remark)")
    }

    private func setEnvironment(_ libraries: DropInLibraries, _ reach: Reach) throws {
        if case .harmed = reach { return }
        setenv("LD_PRELOAD", try libraries.preload(before: getenv("LD_PRELOAD").map { String(cString: $0) }), 1)
        if engine == "auto" {
            unsetenv("AIO_ENGINE")
        } else if let engine {
            setenv("AIO_ENGINE", engine, 1)
        }
        if let statsFile {
            // The path becomes absolute because the program's children may run in other folders, and because 0 and 1
            // are not file names in AIO_STATS.
            setenv("AIO_STATS", try absolute(statsFile), 1)
        } else if stats {
            setenv("AIO_STATS", "1", 1)
        }
    }

    private func absolute(_ path: String) throws -> String {
        if path.hasPrefix("/") { return path }
        guard let folder = getcwd(nil, 0) else { throw Failure("the working directory", result: -Int(errno)) }
        defer { free(folder) }
        // A per cent sign in the folder's name is not part of the pattern.
        let name = String(cString: folder).split(separator: "%", omittingEmptySubsequences: false).joined(
            separator: "%%")
        return folder[1] == 0 ? "/\(path)" : "\(name)/\(path)"
    }

    /// Replaces this process with the program. Returns only if that fails, with the reason.
    ///
    /// Runs on the initial thread, before any other thread exists, so that the program inherits the original signal
    /// mask.
    private func start(_ file: ProgramFile) -> NotStarted {
        // The raw bytes of the command line, which may be no valid UTF-8.
        let first = Int(CommandLine.argc) - command.count
        let arguments = CommandLine.unsafeArgv + first
        execv(file.path, arguments)
        if errno == ENOENT, let interpreter = file.interpreterLine?.first {
            return NotStarted(
                message: "\(file.path.quoted): its interpreter \(interpreter.quoted) does not exist", status: 127)
        }
        guard errno == ENOEXEC else { return file.refusal(errno) }
        // No `#!` line: shells run such a file with the shell.
        var shell = [strdup("/bin/sh"), strdup(file.path)] + (1..<command.count).map { arguments[$0] } + [nil]
        execv("/bin/sh", &shell)
        return file.refusal(ENOEXEC)
    }
}
