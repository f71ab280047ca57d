import AIO
import AIOCore
import ArgumentParser
import Glibc

/// `aio run`: starts a program with the drop-in libraries.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Start a program whose Linux AIO and POSIX AIO is then carried out by this project.",
        usage: "aio run [--engine <engine>] [--stats] [--stats-file <file>] [--require] [--] PROGRAM [ARG...]",
        discussion: """
            PROGRAM is looked for in PATH, and takes the place of this process with the two drop-in libraries loaded \
            before all others (LD_PRELOAD); so terminal, signals and exit status are its own. What it starts in turn \
            has them as well.

            It says so on standard error when PROGRAM cannot be reached (it is static, setuid, or made for another \
            machine), or does not seem to use either interface, and starts it all the same; with --require, what \
            cannot be reached is not started.

            The libraries are those that Scripts/build-dropins has made, or lib/swift-aio beside this executable's \
            bin; AIO_DROPINS names another folder. Exit status, if PROGRAM was not started: 127 it is not there, 126 \
            it cannot be started, 1 failure, 2 wrong usage.
            """)

    @Option(help: ArgumentHelp("Force an engine: \(RunCommand.engineNames). Otherwise the best.", valueName: "engine"))
    var engine: String?

    @Flag(help: "When a process ends by exit(3), write to standard error what the libraries did in it.")
    var stats = false

    @Option(
        help: ArgumentHelp("The same, appended to FILE; %p in its name is the process's number.", valueName: "file"))
    var statsFile: String?

    @Flag(help: "Do not start a program that cannot be reached.")
    var require = false

    @Argument(parsing: .captureForPassthrough, help: "The program and its arguments, which are left as they are.")
    var program: [String] = []

    private static let engineNames = (["auto"] + EngineKind.allCases.map { "\($0)" }).joined(separator: ", ")

    /// Whether `--` precedes the program's name, which may then begin with a dash.
    private var hasTerminator: Bool { program.first == "--" }
    private var command: ArraySlice<String> { program.dropFirst(hasTerminator ? 1 : 0) }

    func validate() throws {
        guard let name = command.first, !name.isEmpty else { throw ValidationError("no program is named") }
        // With `captureForPassthrough` the parser passes unknown options to the program, and `--help` is one of them.
        if !hasTerminator, ["-h", "--help"].contains(name) { throw CleanExit.helpRequest(self) }
        guard hasTerminator || !name.hasPrefix("-") else { throw ValidationError("unknown option \(name)") }
        if let engine, engine != "auto", kind(engine) == nil {
            throw ValidationError("engine \(engine): there are \(Self.engineNames)")
        }
        if let statsFile, statsFile.isEmpty { throw ValidationError("--stats-file: the name is empty") }
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
        if require, reach.isExcluded { throw NotStarted(message: "\(file.path) \(remark)", status: 1) }
        Console.complain("\(file.path) \(remark)")
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
        guard let folder = getcwd(nil, 0) else { throw Failure("the current folder", result: -Int(errno)) }
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
            return NotStarted(message: "\(file.path): its interpreter \(interpreter) is not there", status: 127)
        }
        guard errno == ENOEXEC else { return file.refusal(errno) }
        // No `#!` line: shells run such a file with the shell.
        var shell = [strdup("/bin/sh"), strdup(file.path)] + (1..<command.count).map { arguments[$0] } + [nil]
        execv("/bin/sh", &shell)
        return file.refusal(ENOEXEC)
    }
}
